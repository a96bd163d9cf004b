"""What training takes, estimated from configs, settings and counts of tokens."""

from __future__ import annotations

import importlib
import math
from typing import NamedTuple

from storm_exp import Cost
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.estimate.hardware import Hardware
from storm_models.families.architecture import EMBEDDING, parameter_count, tensor_shapes, ties_head
from storm_models.families.flops import Reading, forward_flops, training_flops
from storm_models.families.memory import (
    PROCESS,
    activation_bytes,
    checkpoint_bytes,
    head_name,
    head_parameters,
    inference_bytes,
    layer_parameters,
    stored_width,
    working_bytes,
)
from storm_models.families.model_config import ModelConfig
from storm_training.data.token_set import TokenSetSpec
from storm_training.optim.settings import TrainingSettings
from storm_training.trainable.layer_table import LayerRow
from storm_training.trainable.matrices import find_matrices
from storm_training.trainable.selection import choose
from storm_training.trainable.settings import TrainableSettings

_PIECE = 1 << 25
"""Logits that a loss holds at a time (storm_training.losses.head)."""


class Learning(NamedTuple):
    """What trains, as far as a config tells."""

    trained: set[str]
    """Tensors of the model that get a gradient."""
    updates: dict[str, int]
    """Ranks of low-rank updates, by their matrices."""
    parameters: int
    """Numbers that train."""


def training_cost(
    settings: TrainingSettings,
    trainable: TrainableSettings,
    model: CheckpointSpec,
    tokens: TokenSetSpec | None,
    hardware: Hardware,
    teacher: CheckpointSpec | None = None,
) -> Cost | None:
    """Return the cost of training `model` on `tokens`; None for a family that is not known.

    Every position is taken as supervised, which is the most that there can be, and rows as full.
    A `teacher` in the loop adds its forward passes and its weights.
    """
    config = model.config or {}
    if not config or parameter_count(config) is None:
        return None
    learning = find_learning(config, trainable)
    read = tokens_read(settings, tokens)
    context = document_length(settings, tokens)
    flops = None
    if read is not None:
        reading = Reading(read, context, read)
        flops = training_flops(
            config,
            reading,
            trained=learning.trained,
            updates=learning.updates,
            recompute=settings.activation_checkpointing,
        )
        if teacher is not None:
            taught = forward_flops(teacher.config or {}, reading) if teacher.config else None
            flops = None if flops is None or taught is None else flops + taught
    return Cost(
        tokens=read,
        flops=flops,
        memory=_memory(settings, config, learning, context, hardware, teacher),
        disk=checkpoint_bytes(config),
        assumes="all positions supervised",
    )


def tokens_read(settings: TrainingSettings, tokens: TokenSetSpec | None) -> float | None:
    """Return the tokens that training reads, counted as often as they are read."""
    if settings.steps:
        rows = settings.steps * settings.batch_size * settings.gradient_accumulation_steps
        return float(rows * settings.sequence_length)
    known = (tokens.tokens or {}).get("train") if tokens else None
    return None if known is None else known * settings.epochs


def document_length(settings: TrainingSettings, tokens: TokenSetSpec | None) -> float:
    """Return the mean length of a document of a row, where it is not known that of the row."""
    known = (tokens.tokens or {}).get("train") if tokens else None
    examples = (tokens.splits or {}).get("train", [0, 0])[1] if tokens else 0
    mean = known / examples if known and examples else settings.sequence_length
    return min(mean, settings.sequence_length)


def find_learning(config: ModelConfig, trainable: TrainableSettings) -> Learning:
    """Return what trains; of Spectrum's choice the lowest layers stand for whichever it will be."""
    shapes = tensor_shapes(config) or {}
    matrices = find_matrices(shapes)
    if trainable.low_rank:
        chosen = [m.name for m in matrices if m.type in (trainable.modules or [m.type])]
        ranks = dict.fromkeys(chosen, trainable.rank)
        count = sum(trainable.rank * sum(shapes[name]) for name in chosen)
        return Learning(set(), ranks, count)
    if trainable.method == "new_layers":  # which ones stands in the checkpoint alone
        names = set(shapes)
    else:
        table: list[LayerRow] = [
            {
                "name": matrix.name,
                "type": matrix.type,
                "layer": matrix.layer,
                "shape": list(shapes[matrix.name]),
                "snr": -float(matrix.layer),
            }
            for matrix in matrices
        ]
        names = choose(trainable, list(shapes), modules=table)
    return Learning(names, {}, sum(math.prod(shapes[name]) for name in names))


def precision_at(hardware: Hardware, wanted: str) -> str:
    """Return what `auto` comes to."""
    if wanted != "auto":
        return wanted
    if hardware.gpu:
        return "bf16-mixed"
    return str(
        importlib.import_module("storm_training.loop.precision").choose_precision("auto", "cpu")
    )


def _memory(
    settings: TrainingSettings,
    config: ModelConfig,
    learning: Learning,
    context: float,
    hardware: Hardware,
    teacher: CheckpointSpec | None,
) -> float | None:
    """Return the highest point of a step on one device: in its backward pass or at its end."""
    precision = precision_at(hardware, settings.precision)
    positions = settings.batch_size * settings.sequence_length
    batch = Reading(positions, context, positions)
    adapted = {*learning.trained, *learning.updates}
    kept = activation_bytes(config, batch, precision, trained=adapted, flash=hardware.gpu)
    everything = parameter_count(config)
    if kept is None or everything is None:
        return None
    share = hardware.devices if hardware.sharded else 1
    weights, casts = _weight_bytes(config, learning, precision, hardware)
    gradients = learning.parameters * (2 if precision == "bf16" else 4)
    states = learning.parameters * _state_bytes(settings, precision)
    held = PROCESS + (weights + states) / share + casts
    if settings.activation_checkpointing:
        stream = positions * config["hidden_size"] * (2 if precision == "bf16" else 4)
        activations = sum(stream for each in kept if each) + max(kept)
    else:
        activations = sum(kept)
    activations += positions * config["hidden_size"] * 12  # embedding, last norm, what it returns
    loss, of_head = _loss_bytes(config, learning, precision, positions)
    if hardware.sharded:  # a layer's weights come together, and its gradients, before they part
        held += 2 * layer_parameters(config) * (2 + 4) + 2 * head_parameters(config) * 2
    if teacher is not None and teacher.config:
        width = stored_width(teacher.config) if precision != "32" else 4
        held += inference_bytes(teacher.config, Reading(positions, context, 0), width) or 0.0
        loss *= 2
    working = working_bytes(config, batch, precision)
    first = held + activations + max(loss, working) + of_head
    if settings.gradient_accumulation_steps > 1:
        return max(first + gradients / share, held + gradients / share + of_head)
    return max(first, held + gradients / share + working)


def _weight_bytes(
    config: ModelConfig, learning: Learning, precision: str, hardware: Hardware
) -> tuple[float, float]:
    """Return the bytes of all weights, and of the copies that autocast keeps during a step."""
    shapes = tensor_shapes(config) or {}
    total = sum(math.prod(shape) for shape in shapes.values())
    total += learning.parameters if learning.updates else 0
    if precision == "bf16":
        return 2.0 * total, 0.0
    if precision == "32" or hardware.sharded:
        return 4.0 * total, 0.0
    frozen = sum(
        math.prod(shape)
        for name, shape in shapes.items()
        if len(shape) == 2 and name != EMBEDDING and name not in learning.trained
    )
    embedding = 0 if ties_head(config) else head_parameters(config)
    return 4.0 * total - 2.0 * frozen, 2.0 * (total - frozen - embedding)


def _state_bytes(settings: TrainingSettings, precision: str) -> float:
    """Return the bytes of the optimiser's state per number that trains."""
    if settings.optimizer == "adamw_8bit":
        return 2.0
    if precision == "bf16":
        return 8.0 if settings.rounding == "kahan" else 6.0
    return 8.0


def _loss_bytes(
    config: ModelConfig, learning: Learning, precision: str, positions: int
) -> tuple[float, float]:
    """Return what the loss holds for a moment, and the head's gradient, which stays."""
    vocabulary, head = config["vocab_size"], head_parameters(config)
    piece = min(positions, max(1, _PIECE // vocabulary)) * vocabulary
    width = 4 if precision == "32" else 2
    states = positions * config["hidden_size"] * (4 + width)
    of_head = head * 4.0 if head_name(config) in learning.trained else 0.0
    narrow = 0 if precision == "32" else piece * 4 + head * 2
    return piece * 8 + narrow + states, of_head
