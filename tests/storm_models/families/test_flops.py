"""Operations estimated from a config, against torch's count."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from storm_models.estimate.hardware import ACCELERATORS
from storm_models.families.flops import EMBEDDING, HEAD, Reading, forward_flops, training_flops

ROWS, LENGTH, PREDICTED = 2, 40, 23
READING = Reading(ROWS * LENGTH, LENGTH, PREDICTED)
SIZES: dict[str, Any] = {
    "vocab_size": 211,
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": None},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 32},
    "gemma2": {"head_dim": 32},
    "phi3": {"pad_token_id": 0},
}


def build(family: str, **changes: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    config = AutoConfig.for_model(family, **SIZES, **FAMILIES[family], **changes)
    # torch counts no flash kernel on a CPU.
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config), config.to_dict()


def states(model: PreTrainedModel) -> torch.Tensor:
    ids = torch.arange(ROWS * LENGTH).reshape(ROWS, LENGTH) % 211
    decoder = model.get_decoder()
    hidden = decoder(input_ids=ids, use_cache=False).last_hidden_state
    return hidden.flatten(0, 1)[:PREDICTED]


def counted(model: PreTrainedModel, *, backward: bool) -> int:
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        logits = model.get_output_embeddings()(states(model))
        if backward:
            labels = torch.arange(PREDICTED)
            torch.nn.functional.cross_entropy(logits, labels).backward()
    return counter.get_total_flops()


def close(spec: float | None, measured: int) -> bool:
    assert spec is not None
    return abs(spec / measured - 1) < 0.01


@pytest.mark.parametrize("family", FAMILIES)
def test_a_forward_pass_counts_what_torch_counts(family: str) -> None:
    model, config = build(family)
    assert close(forward_flops(config, READING), counted(model, backward=False))


@pytest.mark.parametrize("family", FAMILIES)
def test_training_everything_counts_what_torch_counts(family: str) -> None:
    model, config = build(family)
    assert close(training_flops(config, READING), counted(model, backward=True))


def freeze(model: PreTrainedModel, trained: set[str]) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)


def matrices(layers: tuple[int, ...], kinds: tuple[str, ...]) -> set[str]:
    return {f"model.layers.{n}.{kind}.weight" for n in layers for kind in kinds}


SOME = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")


@pytest.mark.parametrize(
    "trained",
    [
        matrices((0, 2), SOME) | {EMBEDDING, HEAD},
        matrices((0, 2), SOME) | {HEAD},
        matrices((1,), SOME),
        matrices((2,), ("mlp.down_proj",)) | {"model.norm.weight"},
        matrices((1,), ("self_attn.v_proj",)),
        matrices((1,), ("mlp.gate_proj",)),
        matrices((1,), ("input_layernorm",)),
        {HEAD},
    ],
    ids=lambda trained: f"{len(trained)} tensors",
)
def test_what_is_frozen_costs_no_gradient_of_its_own(trained: set[str]) -> None:
    model, config = build("llama")
    freeze(model, trained)
    measured = counted(model, backward=True)
    assert close(training_flops(config, READING, trained=trained), measured)
    everything = training_flops(config, READING)
    assert everything is not None and measured < everything


def test_spectrum_with_a_tied_head_counts_what_torch_counts() -> None:
    model, config = build("qwen2")
    trained = matrices((0, 1), SOME) | {EMBEDDING}
    freeze(model, trained)
    spec = training_flops(config, READING, trained=trained)
    assert close(spec, counted(model, backward=True))


def test_low_rank_updates_count_what_torch_counts() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    model, config = build("llama")
    kinds = ["q_proj", "v_proj", "down_proj"]
    inject_adapter_in_model(LoraConfig(r=8, target_modules=kinds), model)
    freeze(model, {name for name, _ in model.named_parameters() if ".lora_" in name})
    names = matrices((0, 1, 2), ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"))
    updates = dict.fromkeys(names, 8)
    spec = training_flops(config, READING, trained=set(), updates=updates)
    assert close(spec, counted(model, backward=True))


def test_recomputed_layers_count_what_torch_counts() -> None:
    model, config = build("llama")
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    spec = training_flops(config, READING, recompute=True)
    assert close(spec, counted(model, backward=True))


def test_a_window_bounds_what_a_token_is_compared_with() -> None:
    _, config = build("mistral")
    slides = {**config, "sliding_window": 10}
    assert forward_flops(slides, READING) == forward_flops(config, READING._replace(context=10))


def test_layers_that_a_config_only_implies_slide_as_stated_ones_do() -> None:
    _, config = build("gemma2")
    stated = {**config, "sliding_window": 10}
    implied = {name: value for name, value in stated.items() if name != "layer_types"}
    everywhere = forward_flops({**stated, "layer_types": ["full_attention"] * 3}, READING)
    windowed = forward_flops(stated, READING)
    assert windowed is not None and everywhere is not None
    assert forward_flops(implied, READING) == windowed < everywhere


def test_an_unknown_family_has_no_forecast() -> None:
    assert forward_flops({"model_type": "mamba"}, READING) is None
    assert training_flops({"model_type": "mamba"}, READING) is None


def test_the_hours_that_tinyllama_took_are_forecast() -> None:
    """Zhang et al. 2024: 3 T tokens on 16 A100-40G in 90 days, at 56 % of their 312 TFLOP/s."""
    config = {
        "model_type": "llama",
        "vocab_size": 32000,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
    }
    flops = training_flops(config, Reading(3e12, 2048, 3e12))
    assert flops is not None
    assert flops / (0.56 * ACCELERATORS["a100_40"].flops) / 3600 == pytest.approx(
        16 * 90 * 24, rel=0.1
    )
