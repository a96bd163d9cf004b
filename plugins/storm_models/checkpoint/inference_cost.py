"""The cost of forward passes of a model, and of writing a checkpoint."""

from __future__ import annotations

from storm_exp import Cost
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.architecture import parameter_count
from storm_models.families.flops import Reading, forward_flops
from storm_models.families.memory import PROCESS, checkpoint_bytes, inference_bytes, stored_width

_WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2}


def inference_cost(
    model: CheckpointSpec,
    reading: Reading | None,
    batch: Reading,
    *,
    dtype: str = "auto",
    further: float = 0.0,
    assumes: str = "",
) -> Cost | None:
    """Return the cost of forward passes over `reading`, `batch` at a time.

    None for an unknown model; without `reading`, the memory alone. A compressed model is estimated
    as the uncompressed one. `further` bytes are added to the memory.
    """
    config = model.config or {}
    if not config or parameter_count(config) is None:
        return None
    memory = inference_bytes(config, batch, _WIDTHS.get(dtype) or stored_width(config))
    return Cost(
        tokens=reading.tokens if reading else None,
        flops=forward_flops(config, reading) if reading else None,
        memory=None if memory is None else PROCESS + memory + further,
        assumes=assumes,
    )


def writing_cost(spec: CheckpointSpec) -> Cost | None:
    """Return the cost of streaming a checkpoint to its files: their size on disk."""
    config = spec.config or {}
    return Cost(disk=checkpoint_bytes(config), on_host=True) if config else None
