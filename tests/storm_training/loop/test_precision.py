from __future__ import annotations

import copy

import pytest
import torch

from storm_exp.testing import make_stage
from storm_models.testing import make_checkpoint
from storm_training.loop.precision import choose_precision, hold_weights
from storm_training.loop.trainer import train
from storm_training.testing import newest_checkpoint, ragged_sequences, small_settings

FAMILIES = ["llama", "qwen2", "gemma2", "gpt2", "mixtral"]


def dtypes(model) -> dict[str, torch.dtype]:
    return {name: parameter.dtype for name, parameter in model.named_parameters()}


def freeze_all_but(model, part: str) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(part in name)


def step(model) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return logits and gradients under autocast to bf16."""
    ids = torch.arange(3, 43)[None]
    with torch.autocast("cpu", torch.bfloat16):
        output = model(input_ids=ids, labels=ids, use_cache=False)
        output.loss.backward()
    return output.logits, [p.grad for p in model.parameters() if p.requires_grad]


def test_what_is_asked_for_is_taken_and_auto_is_what_the_device_multiplies():
    for precision in ("float32", "bfloat16", "bfloat16_mixed"):
        assert choose_precision(precision, "cpu") == precision
    assert choose_precision("auto", "cpu") in ("float32", "bfloat16_mixed")


@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_linear_weights_in_bf16_change_no_bit(tmp_path, family):
    checkpoint = make_checkpoint(tmp_path / "model", family, tie_word_embeddings=family == "gemma2")
    plain, compact = checkpoint.load("float32"), checkpoint.load("float32")
    for model in (plain, compact):
        freeze_all_but(model, "1.mlp")
    hold_weights(compact, "bfloat16_mixed")
    assert set(dtypes(plain).values()) == {torch.float32}
    for name, parameter in compact.named_parameters():
        assert parameter.dtype == torch.float32 or not parameter.requires_grad, name
    if family != "gpt2":  # whose layers are no linear ones
        assert torch.bfloat16 in dtypes(compact).values()
    expected, actual = step(plain), step(compact)
    assert torch.equal(actual[0], expected[0])
    assert all(torch.equal(one, other) for one, other in zip(actual[1], expected[1], strict=True))


def test_a_head_tied_to_the_embedding_stays_fp32(tmp_path):
    model = make_checkpoint(tmp_path / "model", "qwen2", tie_word_embeddings=True).load("float32")
    freeze_all_but(model, "mlp")
    hold_weights(model, "bfloat16_mixed")
    assert dtypes(model)["model.embed_tokens.weight"] == torch.float32
    assert dtypes(model)["model.layers.0.self_attn.q_proj.weight"] == torch.bfloat16
    assert dtypes(model)["model.layers.0.self_attn.q_proj.bias"] == torch.bfloat16
    assert dtypes(model)["model.layers.0.mlp.up_proj.weight"] == torch.float32


def test_frozen_weights_that_bf16_cannot_hold_stay_fp32(tmp_path):
    model = make_checkpoint(tmp_path / "model", dtype="float32").load("float32")
    freeze_all_but(model, "mlp")
    hold_weights(model, "bfloat16_mixed")
    assert set(dtypes(model).values()) == {torch.float32}


def test_pure_bf16_leaves_rotary_frequencies_in_fp32(tmp_path):
    model = make_checkpoint(tmp_path / "model").load("float32")
    frequencies = model.model.rotary_emb.inv_freq.clone()
    hold_weights(model, "bfloat16")
    assert set(dtypes(model).values()) == {torch.bfloat16}
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32
    assert torch.equal(model.model.rotary_emb.inv_freq, frequencies)
    assert not torch.equal(frequencies.bfloat16().float(), frequencies)


@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "kahan"])
def test_a_model_trains_in_pure_bf16(tmp_path, rounding):
    checkpoint = make_checkpoint(tmp_path / "model")
    model = checkpoint.load("bfloat16")
    chosen = small_settings(steps=20, precision="bfloat16", rounding=rounding)
    log = train(model, ragged_sequences(), chosen, make_stage(tmp_path))
    assert log.precision == "bfloat16"
    assert set(dtypes(model).values()) == {torch.bfloat16}
    assert log.steps[-1]["loss"] < log.steps[0]["loss"] - 0.5


def test_small_updates_move_a_model_only_where_rounding_keeps_them(tmp_path):
    start = make_checkpoint(tmp_path / "model").load("bfloat16")
    stayed = {}
    for rounding in ("nearest", "stochastic", "kahan"):
        model = copy.deepcopy(start)
        chosen = small_settings(
            steps=20,
            precision="bfloat16",
            rounding=rounding,
            learning_rate=5e-4,
            schedule="constant",
        )
        train(model, ragged_sequences(), chosen, make_stage(tmp_path, rounding))
        stayed[rounding] = torch.equal(model.model.norm.weight, start.model.norm.weight)
    assert stayed == {"nearest": True, "stochastic": False, "kahan": False}


@pytest.mark.parametrize("precision", ["bfloat16", "bfloat16_mixed"])
def test_a_killed_run_resumes_to_the_same_bits(tmp_path, precision):
    start = make_checkpoint(tmp_path / "model").load("float32")
    freeze_all_but(start, "layers.1")
    rounding = "stochastic" if precision == "bfloat16" else "nearest"
    chosen = small_settings(precision=precision, rounding=rounding, steps=6, checkpoint_every=4)
    whole, resumed = copy.deepcopy(start), copy.deepcopy(start)
    stage = make_stage(tmp_path)
    expected = train(whole, ragged_sequences(), chosen, stage)
    assert newest_checkpoint(stage).is_file()
    assert train(resumed, ragged_sequences(), chosen, stage) == expected
    for (name, one), other in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_frozen_weights_come_back_as_they_came(tmp_path):
    model = make_checkpoint(tmp_path / "model").load("float32")
    freeze_all_but(model, "mlp")
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    train(
        model, ragged_sequences(), small_settings(precision="bfloat16_mixed"), make_stage(tmp_path)
    )
    assert set(dtypes(model).values()) == {torch.float32}
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == ("mlp" not in name), name
