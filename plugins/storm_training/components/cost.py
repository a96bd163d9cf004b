"""The cost of training, estimated from model config, settings and token counts."""

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

_CHUNK_LOGITS = 1 << 25
"""Logits that a loss holds in memory at a time, as in storm_training.losses.head."""


class TrainedParameters(NamedTuple):
    """What trains, as far as the model's config shows."""

    tensors: set[str]
    """Names of the model's tensors that get a gradient."""
    ranks: dict[str, int]
    """{matrix: rank of its low-rank update}."""
    total: int
    """Number of trained parameters."""


def training_cost(
    settings: TrainingSettings,
    trainable: TrainableSettings,
    model: CheckpointSpec,
    tokens: TokenSetSpec | None,
    hardware: Hardware,
    teacher: CheckpointSpec | None = None,
) -> Cost | None:
    """Return the cost of training `model` on `tokens`; None for an unknown model family.

    Assumes full rows with every position supervised, the most there can be. A `teacher` in the
    loop adds its forward passes and weights.
    """
    config = model.config or {}
    if not config or parameter_count(config) is None:
        return None
    parameters = trained_parameters(config, trainable)
    read = tokens_read(settings, tokens)
    context = document_length(settings, tokens)
    flops = None
    if read is not None:
        reading = Reading(read, context, read)
        flops = training_flops(
            config,
            reading,
            trained=parameters.tensors,
            updates=parameters.ranks,
            recompute=settings.activation_checkpointing,
        )
        if teacher is not None:
            teacher_flops = forward_flops(teacher.config or {}, reading) if teacher.config else None
            flops = None if flops is None or teacher_flops is None else flops + teacher_flops
    return Cost(
        tokens=read,
        flops=flops,
        memory=_memory(settings, config, parameters, context, hardware, teacher),
        disk=checkpoint_bytes(config),
        assumes="all positions supervised",
    )


def tokens_read(settings: TrainingSettings, tokens: TokenSetSpec | None) -> float | None:
    """Return how many tokens training reads, repeated epochs included; None when unknown."""
    steps, epochs = settings.ends_after()
    if steps:
        rows = steps * settings.batch_size * settings.gradient_accumulation_steps
        return float(rows * settings.sequence_length)
    known = (tokens.tokens or {}).get("train") if tokens else None
    return None if known is None else known * epochs


def document_length(settings: TrainingSettings, tokens: TokenSetSpec | None) -> float:
    """Return the mean length of a document in tokens, or that of a row where it is unknown."""
    known = (tokens.tokens or {}).get("train") if tokens else None
    examples = (tokens.splits or {}).get("train", [0, 0])[1] if tokens else 0
    mean = known / examples if known and examples else settings.sequence_length
    return min(mean, settings.sequence_length)


def trained_parameters(config: ModelConfig, trainable: TrainableSettings) -> TrainedParameters:
    """Return what trains; for Spectrum, which needs the weights, the lowest layers stand in."""
    shapes = tensor_shapes(config) or {}
    matrices = find_matrices(shapes)
    if trainable.low_rank:
        chosen = [m.name for m in matrices if m.type in (trainable.modules or [m.type])]
        ranks = dict.fromkeys(chosen, trainable.rank)
        count = sum(trainable.rank * sum(shapes[name]) for name in chosen)
        return TrainedParameters(set(), ranks, count)
    if trainable.method == "new_layers":  # only the checkpoint itself says which layers these are
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
    return TrainedParameters(names, {}, sum(math.prod(shapes[name]) for name in names))


def precision_at(hardware: Hardware, precision: str) -> str:
    """Return the precision that a value of the setting `precision` means on `hardware`."""
    if precision != "auto":
        return precision
    if hardware.gpu:
        return "bfloat16_mixed"
    return str(
        importlib.import_module("storm_training.loop.precision").choose_precision("auto", "cpu")
    )


def _memory(
    settings: TrainingSettings,
    config: ModelConfig,
    parameters: TrainedParameters,
    context: float,
    hardware: Hardware,
    teacher: CheckpointSpec | None,
) -> float | None:
    """Return the peak memory of a step on one device, in its backward pass or at its end."""
    precision = precision_at(hardware, settings.precision)
    positions = settings.batch_size * settings.sequence_length
    batch = Reading(positions, context, positions)
    adapted = {*parameters.tensors, *parameters.ranks}
    by_layer = activation_bytes(config, batch, precision, trained=adapted, flash=hardware.gpu)
    if by_layer is None or parameter_count(config) is None:
        return None
    share = hardware.devices if hardware.sharded else 1
    weights, casts = _weight_bytes(config, parameters, precision, hardware)
    gradients = parameters.total * (2 if precision == "bfloat16" else 4)
    states = parameters.total * _state_bytes(settings, precision)
    resident = PROCESS + (weights + states) / share + casts
    if settings.activation_checkpointing:
        stream = positions * config["hidden_size"] * (2 if precision == "bfloat16" else 4)
        activations = sum(stream for size in by_layer if size) + max(by_layer)
    else:
        activations = sum(by_layer)
    activations += positions * config["hidden_size"] * 12  # embedding, last norm, their output
    loss, head_gradient = _loss_bytes(config, parameters, precision, positions)
    if hardware.sharded:  # one layer's weights and gradients are gathered whole at a time
        resident += 2 * layer_parameters(config) * (2 + 4) + 2 * head_parameters(config) * 2
    if teacher is not None and teacher.config:
        width = stored_width(teacher.config) if precision != "float32" else 4
        resident += inference_bytes(teacher.config, Reading(positions, context, 0), width) or 0.0
        loss *= 2
    working = working_bytes(config, batch, precision)
    backward_peak = resident + activations + max(loss, working) + head_gradient
    if settings.gradient_accumulation_steps > 1:
        return max(backward_peak + gradients / share, resident + gradients / share + head_gradient)
    return max(backward_peak, resident + gradients / share + working)


def _weight_bytes(
    config: ModelConfig, parameters: TrainedParameters, precision: str, hardware: Hardware
) -> tuple[float, float]:
    """Return the bytes of all weights, and of the bf16 copies that autocast keeps in a step."""
    shapes = tensor_shapes(config) or {}
    total = sum(math.prod(shape) for shape in shapes.values())
    total += parameters.total if parameters.ranks else 0
    if precision == "bfloat16":
        return 2.0 * total, 0.0
    if precision == "float32" or hardware.sharded:
        return 4.0 * total, 0.0
    frozen = sum(
        math.prod(shape)
        for name, shape in shapes.items()
        if len(shape) == 2 and name != EMBEDDING and name not in parameters.tensors
    )
    embedding = 0 if ties_head(config) else head_parameters(config)
    return 4.0 * total - 2.0 * frozen, 2.0 * (total - frozen - embedding)


def _state_bytes(settings: TrainingSettings, precision: str) -> float:
    """Return the bytes of optimiser state per trained parameter."""
    if settings.optimizer == "adamw_8bit":
        return 2.0
    if precision == "bfloat16":
        return 8.0 if settings.rounding == "kahan" else 6.0
    return 8.0


def _loss_bytes(
    config: ModelConfig, parameters: TrainedParameters, precision: str, positions: int
) -> tuple[float, float]:
    """Return the bytes that the loss holds while it is computed, and of the head's gradient."""
    vocabulary, head = config["vocab_size"], head_parameters(config)
    chunk = min(positions, max(1, _CHUNK_LOGITS // vocabulary)) * vocabulary
    width = 4 if precision == "float32" else 2
    states = positions * config["hidden_size"] * (4 + width)
    head_gradient = head * 4.0 if head_name(config) in parameters.tensors else 0.0
    narrow = 0 if precision == "float32" else chunk * 4 + head * 2
    return chunk * 8 + narrow + states, head_gradient
