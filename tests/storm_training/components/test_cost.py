"""Forecasts of training, graded in miniature: operations, what autograd keeps, and peak memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from storm_exp import Runtime
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, shapes_digest
from storm_models.estimate.hardware import Hardware
from storm_models.families.flops import Reading, training_flops
from storm_models.families.memory import activation_bytes
from storm_models.testing import make_model
from storm_training.attention.document_attention import NAME as DOCUMENTS
from storm_training.attention.implementation import attention
from storm_training.components.cost import (
    document_length,
    tokens_read,
    trained_parameters,
    training_cost,
)
from storm_training.components.sft import Sft
from storm_training.data.packing import IGNORE_INDEX, PackedBatch
from storm_training.data.token_set import TokenSetSpec
from storm_training.objectives.objective import next_token_loss
from storm_training.testing import make_chats, small_settings, tokenise_chats
from storm_training.trainable.layer_table import LayerTable
from storm_training.trainable.matrices import find_matrices
from storm_training.trainable.selection import choose
from storm_training.trainable.settings import TrainableSettings

HERE = Hardware.of(Runtime(device="cpu", threads=1), full_size=False)
ROWS, LENGTH, DOCUMENT = 2, 256, 64
SIZES: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}


def build(family: str, layers: int = 2) -> PreTrainedModel:
    further = {"qwen3": {"head_dim": 32}, "phi3": {"pad_token_id": 0, "eos_token_id": 1}}
    sizes = {**SIZES, "num_hidden_layers": layers, **further.get(family, {})}
    config = AutoConfig.for_model(family, **sizes)
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).train()


def freeze(model: PreTrainedModel, pattern: str) -> set[str]:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(re.search(pattern, name) is not None)
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def positions() -> torch.Tensor:
    return torch.arange(DOCUMENT).repeat(LENGTH // DOCUMENT)[None].repeat(ROWS, 1)


def kept_by_autograd(model: PreTrainedModel, precision: str) -> int:
    """Return the bytes that a forward pass of the decoder keeps, weights apart."""
    storages: dict[int, int] = {}
    weights = {tuple(p.shape) for p in model.parameters() if p.ndim == 2}
    weights |= {shape[::-1] for shape in weights}
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tuple(tensor.shape) not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    mixed = precision == "bfloat16_mixed"
    ids = torch.arange(ROWS * LENGTH).reshape(ROWS, LENGTH) % 500
    with (
        attention(model, DOCUMENTS),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        decoder = model.get_decoder()
        hidden = decoder(input_ids=ids, position_ids=positions(), use_cache=False)
        assert hidden.last_hidden_state.requires_grad
    return sum(storages.values())


@pytest.mark.parametrize("pattern", ["", "embed|q_proj|o_proj|up_proj", "embed|v_proj|down_proj"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16_mixed", "bfloat16"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "phi3"])
def test_what_a_layer_keeps_for_its_backward_pass_is_forecast(family, precision, pattern):
    kept, trained, config = [], set(), {}
    for layers in (1, 2):
        model = build(family, layers)
        model = model.to(torch.bfloat16) if precision == "bfloat16" else model
        trained, config = freeze(model, pattern), model.config.to_dict()
        kept.append(kept_by_autograd(model, precision))
    batch = Reading(ROWS * LENGTH, DOCUMENT, 0)
    spec = activation_bytes(config, batch, precision, trained=trained, flash=False)
    assert spec is not None
    assert spec[1] == pytest.approx(kept[1] - kept[0], rel=0.05)


def test_layers_below_the_first_that_trains_keep_nothing():
    config = build("llama", 3).config.to_dict()
    trained = {"model.layers.1.mlp.up_proj.weight", "lm_head.weight"}
    spec = activation_bytes(config, Reading(8, 8, 8), "float32", trained=trained)
    assert spec is not None
    assert [each > 0 for each in spec] == [False, True, True]


@pytest.mark.parametrize("pattern", ["", "embed|lm_head|layers.0.*proj", "layers.1.*proj"])
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_operations_of_our_own_loss_are_forecast(family, pattern):
    model = build(family)
    trained = freeze(model, pattern)
    ids = torch.arange(ROWS * LENGTH).reshape(ROWS, LENGTH) % 500
    labels = torch.where(ids % 3 == 0, ids, IGNORE_INDEX)
    targets = int((labels != IGNORE_INDEX).sum())
    documents = torch.zeros_like(ids)
    batch = PackedBatch(ids, positions(), labels, documents, torch.zeros(1), ROWS * LENGTH, targets)
    # In bf16, torch counts what is added to a gradient in place; of attention, what is a product.
    with (
        attention(model, "eager"),
        torch.autocast("cpu", dtype=torch.bfloat16),
        FlopCounterMode(display=False) as counter,
    ):
        next_token_loss(model, batch).backward()
    reading = Reading(ROWS * LENGTH, LENGTH, targets)
    spec = training_flops(model.config.to_dict(), reading, trained=trained)
    assert spec == pytest.approx(counter.get_total_flops(), rel=0.1)


def test_tokens_are_counted_as_often_as_they_are_read():
    tokens = TokenSetSpec(splits={"train": [10, 10]}, tokens={"train": 500})
    settings = small_settings(steps=None, epochs=2.5)
    assert tokens_read(settings, tokens) == 1250
    assert tokens_read(settings, None) is None
    assert (
        tokens_read(small_settings(steps=3, gradient_accumulation_steps=4), tokens)
        == 3 * 4 * 2 * 96
    )
    assert document_length(settings, tokens) == 50
    assert document_length(settings, TokenSetSpec()) == 96


@pytest.mark.parametrize(
    "chosen",
    [
        TrainableSettings(),
        TrainableSettings(method="spectrum", fraction=0.5),
        TrainableSettings(method="last_layers", layers=1),
        TrainableSettings(method="named", names=[r".*up_proj.*"]),
    ],
    ids=lambda chosen: chosen.method,
)
def test_as_many_numbers_train_as_was_forecast(chosen):
    model = build("llama", 3)
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    table = [
        {"name": m.name, "type": m.type, "layer": m.layer, "shape": [], "snr": (7 * m.layer) % 3}
        for m in find_matrices(shapes)
    ]
    trained = choose(chosen, list(sizes), modules=table)
    parameters = trained_parameters(model.config.to_dict(), chosen)
    assert parameters.total == sum(sizes[name] for name in trained)


def test_low_rank_updates_are_counted_and_their_model_is_frozen():
    config = build("llama").config.to_dict()
    parameters = trained_parameters(
        config, TrainableSettings(method="lora", rank=4, modules=["q_proj"])
    )
    assert parameters.total == 2 * 4 * (256 + 256)
    assert parameters.tensors == set()


def test_a_teacher_in_the_loop_adds_its_passes_and_its_weights():
    config = build("llama").config.to_dict()
    model = CheckpointSpec(config=config)
    arguments = (small_settings(), TrainableSettings(), model, None, HERE)
    alone, taught = training_cost(*arguments), training_cost(*arguments, model)
    assert alone is not None and taught is not None
    assert 1.25 < taught.flops / alone.flops < 1.4
    assert taught.memory > alone.memory
    assert training_cost(*arguments[:2], CheckpointSpec(), *arguments[3:]) is None


def test_several_devices_divide_what_is_sharded():
    config = build("llama").config.to_dict()
    arguments = (small_settings(), TrainableSettings(), CheckpointSpec(config=config), None)
    runtimes = [Runtime(accelerator="h100", devices=n) for n in (1, 4)]
    one, four = (
        training_cost(*arguments, Hardware.of(runtime, full_size=True)) for runtime in runtimes
    )
    assert one is not None and four is not None
    assert four.memory < one.memory
    assert four.flops == one.flops


RUN = """
import json, sys
from pathlib import Path
from storm_exp import Runtime, StageContext
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_report.memory import peak_memory
from storm_training.trainable.layer_table import LayerTable
from storm_training.trainable.settings import TrainableSettings
from storm_training.components.sft import Sft
from storm_training.data.token_set import TokenSet

folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
(folder / "out").mkdir()
(folder / "scratch").mkdir()
chosen = TrainableSettings(**settings.pop("trainable"))
layers = LayerTable(folder / "layers") if chosen.method == "spectrum" else None
stage = StageContext("sft", folder / "out", folder / "scratch", Runtime(device="cpu", threads=1))
model, tokens = Checkpoint(folder / "model"), TokenSet(folder / "tokens")
Sft(**settings, trainable=chosen).run(stage, model, tokens, layers)
print(peak_memory())
"""

MEASURED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"gradient_accumulation_steps": 2}, {"method": "spectrum"}),
    ({"activation_checkpointing": True}, {"method": "last_layers", "layers": 6}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "parameters"), MEASURED, ids=lambda value: str(value)[:40])
def test_peak_memory_is_within_a_quarter_of_what_a_process_takes(tmp_path, settings, parameters):
    folder = make_model(
        tmp_path / "model", family="llama", hidden=640, layers=10, intermediate=1760
    )
    model = Checkpoint(folder)
    tokens = tokenise_chats(tmp_path / "tokens", model, make_chats(tmp_path / "chats", rows=400))
    shapes = {name: shape for name, (_, shape) in model.headers().items()}
    (tmp_path / "layers").mkdir()
    rows = [
        {"name": m.name, "type": m.type, "layer": m.layer, "shape": [], "snr": (7 * m.layer) % 5}
        for m in find_matrices(shapes)
    ]
    LayerTable(tmp_path / "layers").write(shapes_digest(shapes), rows)
    usual = {"steps": 2, "sequence_length": 256, "batch_size": 2, "precision": "float32", "seed": 0}
    settings = {**usual, "validation_rows": 0, "checkpoint_every": None, **settings}
    given = json.dumps({**settings, "trainable": parameters})
    command = [sys.executable, "-c", RUN, str(tmp_path), given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    trainer = Sft(**settings, trainable=TrainableSettings(**parameters))
    cost = trainer.cost(HERE, model.spec(), tokens.spec())
    assert cost is not None
    measured = int(done.stdout.split()[-1])
    assert cost.memory == pytest.approx(measured, rel=0.25), cost.memory / measured
