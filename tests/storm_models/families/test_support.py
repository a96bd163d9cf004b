"""The table of families' abilities holds for real models of the families."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from storm_exp import InputError
from storm_inference.label_scorer import LabelScorer
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.families.architecture import FAMILIES, is_quantised
from storm_models.families.support import Use, check_family
from storm_models.testing import make_checkpoint
from storm_training.attention.implementation import attention, choose_attention, require_isolation
from storm_training.loop.finetuned_checkpoint import stored_names
from storm_training.losses.head import require_known_head
from storm_training.trainable.matrices import find_matrices

SMALL = {
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    "qwen2_moe": {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 32,
    },
    "gpt_neox": {},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
    "bloom": {},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "mamba": {"state_size": 8, "time_step_rank": 4},
    "granite": {},
    "olmo2": {},
    "llama": {},
    "phi3": {},
}
"""{family: further sizes}: those that the table refuses, for each reason, and those that it takes.
"""


def try_training(model: Checkpoint) -> None:
    network = model.load("float32")
    stored_names(model, network)
    try_packed(model)


def try_packed(model: Checkpoint) -> None:
    network = model.load("float32")
    with attention(network, choose_attention("auto", network, "cpu", "float32")):
        require_isolation(network)
        require_known_head(network)


def try_scan(model: Checkpoint) -> None:
    network = model.load("float32")
    known = {name for name, _ in network.named_parameters()}
    found = find_matrices({name: shape for name, (_, shape) in model.headers().items()})
    if not found or stored_names(model, network).keys() - known - {"lm_head.weight"}:
        raise InputError("no matrices that training could choose from")


def try_asking(model: Checkpoint) -> None:
    network = model.load("float32")
    rows = [[[5, 6, 7, 8, 9], [5, 6, 7, 11, 12, 13]], [[5, 6, 7, 20], [5, 6, 7, 21, 22]]]
    found = LabelScorer(network, rows=2, step=8).score(rows, [[3, 4], [3, 4]])
    for row, scores in zip(rows, found, strict=True):
        for prompt, score in zip(row, scores, strict=True):
            alone = network(torch.tensor([prompt])).logits[0, -1].float().log_softmax(-1)
            if not torch.allclose(alone[[3, 4]], torch.tensor(score), atol=1e-4):
                raise InputError("a question sees another one")


TRIALS = {
    Use.TRAIN: try_training,
    Use.PACK: try_packed,
    Use.SCAN: try_scan,
    Use.ASK: try_asking,
}


@pytest.mark.parametrize("family", SMALL)
@torch.no_grad()
def test_a_plan_refuses_a_family_exactly_where_its_models_fail(family: str, tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path, family, dtype="float32", **SMALL[family])
    for use, attempt in TRIALS.items():
        planned = runs = True
        try:
            check_family(model.config(), use)
        except InputError as error:
            assert family in str(error)
            planned = False
        try:
            attempt(model)
        except Exception:  # whatever a model raises that was not meant for it
            runs = False
        assert planned == runs, use


def test_shapes_are_changed_of_known_families_only() -> None:
    for family in FAMILIES:
        check_family({"model_type": family}, Use.RESHAPE)
    with pytest.raises(InputError, match="'mixtral' cannot be changed in shape: only those of"):
        check_family({"model_type": "mixtral"}, Use.RESHAPE)


def test_nothing_is_refused_that_is_not_known() -> None:
    for use in (Use.TRAIN, Use.SCAN, Use.PACK, Use.ASK):
        check_family(None, use)
        check_family({}, use)
        check_family({"model_type": "of_tomorrow"}, use)
        check_family({"model_type": ["odd"]}, use)


def test_null_is_no_quantisation() -> None:
    assert not is_quantised({"quantization_config": None})
    assert not is_quantised({})
    assert is_quantised({"quantization_config": {"quant_method": "fp8"}})
