"""Mixtures of experts: a tensor per expert in the files, fused in memory."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from storm_evaluation.harness.language_model import HarnessModel
from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_export.bf16 import Bf16
from storm_inference.label_scorer import LabelScorer
from storm_merging.methods.block_expand import BlockExpand
from storm_merging.methods.linear import Linear
from storm_merging.methods.slerp import Slerp
from storm_minitron.width.importance import ImportanceSpec
from storm_minitron.width.minitron_width import MinitronWidth
from storm_models.sources.path import Path
from storm_models.testing import make_checkpoint
from storm_training.components.sft import Sft
from storm_training.data.token_set import TokenSetSpec
from storm_training.trainable.snr_scanner import SnrScanner

SIZES = {
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
}
IDS = torch.arange(5, 45)[None]


@pytest.fixture(scope="module", params=SIZES)
def models(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return [
        make_checkpoint(folder / str(seed), request.param, seed=seed, **SIZES[request.param])
        for seed in (0, 1)
    ]


@torch.no_grad()
def logits(network):
    return network(IDS, use_cache=False).logits.float()


def stored(checkpoint):
    return dict(checkpoint.tensors())


def test_files_hold_an_expert_a_tensor_and_memory_all_in_one(models):
    experts = [name for name in models[0].headers() if ".experts." in name]
    assert len(experts) == 2 * 4 * 3
    fused = [name for name, _ in models[0].load().named_parameters() if ".experts." in name]
    assert len(fused) == 2 * 2


def test_they_are_adopted_and_cast(models, tmp_path):
    assert Path(path=str(models[0].directory)).plan_spec().parameters
    cast = Bf16().run(make_stage(tmp_path), models[0])
    assert torch.equal(logits(cast.load("float32")), logits(models[0].load("float32")))


MERGERS = {"slerp": Slerp(t=0.3), "linear": Linear(weights=[0.7, 0.3])}


@pytest.mark.parametrize("merger", MERGERS)
def test_a_merge_in_files_and_as_a_sum_is_one_model(merger, models, tmp_path, kept):
    written = MERGERS[merger].run(make_stage(tmp_path), models)
    summed = kept.merge(MERGERS[merger], [kept.adopt(model) for model in models])
    assert summed.weighted_sum() is not None and written.weighted_sum() is None
    tensors, sums = stored(written), stored(summed)
    assert tensors.keys() == sums.keys() == stored(models[0]).keys()
    assert all(torch.equal(tensors[name], sums[name]) for name in tensors)
    theirs = AutoModelForCausalLM.from_pretrained(written.directory, dtype=torch.float32).eval()
    for checkpoint in (written, summed, kept.materialise(summed)):
        assert torch.equal(logits(checkpoint.load("float32")), logits(theirs))


def test_the_arithmetic_of_a_merge_is_an_experts_own(models, tmp_path):
    written = stored(Linear(weights=[0.7, 0.3]).run(make_stage(tmp_path), models))
    one, other = map(stored, models)
    name = next(name for name in one if ".experts.2." in name)
    expected = (one[name].double() * 0.7 + other[name].double() * 0.3).bfloat16()
    assert torch.allclose(written[name].float(), expected.float(), atol=1e-3, rtol=1e-2)


@torch.no_grad()
def test_they_are_judged_and_evaluated(models, tmp_path):
    model = models[0]
    network = model.load("float32")
    prompts = [[list(range(5, 25)), [*range(5, 20), 40, 41]], [[*range(5, 12), 50]] * 2]
    all_scores = LabelScorer(network, rows=2, step=8).score(prompts, [[3, 4], [3, 4]])
    for row, scores in zip(prompts, all_scores, strict=True):
        for prompt, score in zip(row, scores, strict=True):
            alone = network(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
            assert score == pytest.approx(alone[[3, 4]].tolist(), abs=1e-4)
    harness = HarnessModel(
        network, model.tokenizer(), None, make_stage(tmp_path), batch_size=2, max_length=64
    )
    rows = [list(range(5, length)) for length in (15, 30, 22)]
    scores = harness.score_tokens([(ids[:4], ids[4:]) for ids in rows])
    for ids, score in zip(rows, scores, strict=True):
        logs = network(torch.tensor([ids])).logits[0].log_softmax(-1)
        expected = sum(float(logs[place - 1, ids[place]]) for place in range(4, len(ids)))
        assert score == pytest.approx(expected, abs=1e-3)


def test_what_cannot_work_is_refused_with_the_plan(models):
    known = models[0].spec()
    for refused in (
        lambda: Sft(seed=0).plan_spec(known, TokenSetSpec()),
        lambda: SnrScanner().plan_spec(known),
        lambda: BlockExpand(every=1).plan_spec(known),
        lambda: MinitronWidth(hidden_size=16).plan_spec(known, ImportanceSpec()),
    ):
        with pytest.raises(InputError, match=r"of the family '(mixtral|qwen3_moe)' cannot be"):
            refused()
