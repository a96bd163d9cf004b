"""An answer does not depend on others in its batch, or on where rotary factors change."""

from __future__ import annotations

import pytest
import torch

from storm_evaluation.harness.language_model import HarnessModel
from storm_exp.testing import make_stage
from storm_models.testing import make_checkpoint

PLAIN = {"rope_type": "default", "rope_theta": 10000.0}
LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0] * 4,
    "long_factor": [1.0, 3.0, 9.0, 30.0],
    "original_max_position_embeddings": 48,
    "factor": 4.0,
    "rope_theta": 10000.0,
}
PROMPTS = [
    "a b",
    "tell me more",
    "some text is longer",
    "and one is longer than the others",
    "z" * 60,
]
NEW_TOKENS = 40


@pytest.fixture(scope="module", params=[PLAIN, LONGROPE], ids=["plain", "longrope"])
def checkpoint(request, tmp_path_factory):
    return make_checkpoint(
        tmp_path_factory.mktemp("model"),
        "phi3",
        dtype="float32",
        initializer_range=0.15,
        original_max_position_embeddings=48,
        rope_parameters=request.param,
    )


@pytest.fixture(scope="module")
def network(checkpoint):
    """Return a model in double precision, so that rounding decides no answer."""
    return checkpoint.load().double()


def answers(checkpoint, network, folder, batch_size: int) -> list[str]:
    from lm_eval.api.instance import Instance

    model = HarnessModel(
        network,
        checkpoint.tokenizer(),
        checkpoint.chat(),
        make_stage(folder, str(batch_size)),
        batch_size=batch_size,
        max_length=None,
    )
    asked = {"until": [], "max_gen_toks": NEW_TOKENS, "do_sample": False}
    requests = [
        Instance("generate_until", {}, (prompt, asked), number)
        for number, prompt in enumerate(PROMPTS)
    ]
    return model.generate_until(requests)


@torch.inference_mode()
def read_whole(checkpoint, network, prompt: str) -> str:
    """Return the most likely answer, computed from the whole text for every token."""
    tokenizer = checkpoint.tokenizer()
    given = tokenizer.encode(prompt)
    ids = list(given)
    while len(ids) < len(given) + NEW_TOKENS and tokenizer.eos_token_id not in ids[len(given) :]:
        ids.append(int(network(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return tokenizer.decode(ids[len(given) :], skip_special_tokens=True)


def test_an_answer_is_the_same_alone_and_in_a_batch(checkpoint, network, tmp_path):
    alone, together = (answers(checkpoint, network, tmp_path, size) for size in (1, 8))
    assert together == alone
    assert alone == [read_whole(checkpoint, network, prompt) for prompt in PROMPTS]
    assert len(set(alone)) == len(PROMPTS) and min(map(len, alone)) > 3
