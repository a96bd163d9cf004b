"""What is computed together is what the harness's own model computes together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from storm_evaluation.harness.language_model import HarnessModel
from storm_exp.testing import make_stage
from storm_models.testing import make_checkpoint

TEXTS = ["a b", "tell me", "some text is longer", "and one is longer than others", "z" * 60] * 3


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    # Neither shared contexts nor the greedy decoder are for this family.
    return make_checkpoint(tmp_path_factory.mktemp("model"), "phi3", dtype="float32")


def both(checkpoint, folder: Path, kind: str, requests: list[Instance], size: int):
    """Return what the harness's model and ours answer, and the texts that each computes together.

    Both have the same weights.
    """
    network, tokenizer = checkpoint.load(), checkpoint.tokenizer()
    theirs = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=size, max_length=64)
    ours = HarnessModel(
        network, tokenizer, None, make_stage(folder), batch_size=size, max_length=64
    )
    found, batches = [], []
    seen: list[list[list[int]]] = []
    hook = network.register_forward_pre_hook(
        lambda _, args, named: seen.append((named["input_ids"] if named else args[0]).tolist()),
        with_kwargs=True,
    )
    for model in (theirs, ours):
        found.append(getattr(model, kind)(requests, disable_tqdm=True))
        batches.append(seen.copy())
        seen.clear()
    hook.remove()
    return found, batches


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize("kind", ["loglikelihood", "loglikelihood_rolling", "generate_until"])
def test_the_batches_are_those_of_the_harness(checkpoint, tmp_path, kind: str, size: int) -> None:
    options = [{"until": ["q"], "max_gen_toks": n, "do_sample": False} for n in (3, 5)]
    arguments = {
        # Answers of one token share what is before it.
        "loglikelihood": [(text, answer) for text in TEXTS for answer in ("x", "y", "yes", "no")],
        "loglikelihood_rolling": [(text * 4,) for text in TEXTS],
        "generate_until": [(text, options[n % 2]) for n, text in enumerate(TEXTS)],
    }[kind]
    requests = [Instance(kind, {}, given, number) for number, given in enumerate(arguments)]
    found, batches = both(checkpoint, tmp_path, kind, requests, size)
    assert found[0] == found[1]
    assert batches[0] == batches[1]
    assert size > 4 or len(batches[0]) > 2


def test_draws_are_those_of_the_harness(checkpoint, tmp_path) -> None:
    options = {"until": ["q"], "max_gen_toks": 4, "do_sample": True, "temperature": 1.0}
    requests = [Instance("generate_until", {}, (t, options), n) for n, t in enumerate(TEXTS)]
    network, tokenizer = checkpoint.load(), checkpoint.tokenizer()
    theirs = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=4)
    torch.manual_seed(5)
    expected = theirs.generate_until(requests, disable_tqdm=True)
    ours = HarnessModel(network, tokenizer, None, make_stage(tmp_path), batch_size=4, max_length=64)
    torch.manual_seed(5)
    assert ours.generate_until(requests) == expected


def test_an_evaluation_that_was_interrupted_goes_on(checkpoint, tmp_path, monkeypatch) -> None:
    texts = [f"{text} {number}" for number, text in enumerate(TEXTS)]
    requests = [Instance("loglikelihood", {}, (text, "yes"), n) for n, text in enumerate(texts)]
    network, tokenizer = checkpoint.load(), checkpoint.tokenizer()

    def model(name: str) -> HarnessModel:
        stage = make_stage(tmp_path, name)
        return HarnessModel(network, tokenizer, None, stage, batch_size=2, max_length=64)

    whole, asked = model("whole").loglikelihood(requests), []
    score = HarnessModel._score_as_hflm

    def dying(self, batch):
        asked.append(len(batch))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return score(self, batch)

    monkeypatch.setattr(HarnessModel, "_score_as_hflm", dying)
    with pytest.raises(KeyboardInterrupt):
        model("killed").loglikelihood(requests)
    assert model("killed").loglikelihood(requests) == whole
    assert len(asked) == 3 + 6, "eight batches in all: two before, six after"
