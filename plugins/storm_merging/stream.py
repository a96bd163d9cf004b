"""Writing a merged checkpoint tensor by tensor, in pieces, from parents that are never loaded."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from storm_exp import InputError, Stage
from storm_merging.arithmetic import Angle, weighted_sum
from storm_merging.compatibility import check_tensors
from storm_models.checkpoint import Checkpoint
from storm_models.tensor_file import TensorReader, TensorWriter

PIECE = 1 << 20
"""Elements of a tensor in memory at a time, per checkpoint."""

Coefficients = Callable[[str, "Parents"], Sequence[float]]
"""Gives each parent's coefficient for the tensor of a name."""


class Parents:
    """Open readers over checkpoints with the same tensors."""

    def __init__(self, models: Sequence[Checkpoint], stack: contextlib.ExitStack) -> None:
        """Open every file of `models`; `stack` closes them."""
        self._models = models
        self._readers: dict[Path, TensorReader] = {}
        for model in models:
            for file in model.weight_files():
                if file not in self._readers:
                    self._readers[file] = stack.enter_context(TensorReader(file))

    def size(self, name: str) -> int:
        """Return the number of elements of a tensor."""
        return self._reader(self._models[0], name).size(name)

    def pieces(self, name: str) -> list[tuple[int, int]]:
        """Return the intervals of elements in which a tensor is worked on."""
        size = self.size(name)
        return [(start, min(start + PIECE, size)) for start in range(0, size, PIECE)]

    def read(self, name: str, start: int, stop: int) -> list[torch.Tensor]:
        """Return the same piece of every parent, flat."""
        return [self._reader(model, name).read(name, start, stop) for model in self._models]

    def angle(self, name: str) -> Angle:
        """Return the angle between the first two parents; raises InputError for NaN."""
        angle = Angle()
        for start, stop in self.pieces(name):
            angle.add(*self.read(name, start, stop)[:2])
        if not angle.finite:
            raise InputError(f"{name} holds NaN or infinity in one of the models")
        return angle

    def _reader(self, model: Checkpoint, name: str) -> TensorReader:
        return self._readers[model.file_of(name)]


def write_merge(
    stage: Stage, models: Sequence[Checkpoint], coefficients: Coefficients
) -> Checkpoint:
    """Write Σ coefficient · tensor for every tensor, with all else from the first model.

    Weights get the first model's dtypes, each rounded once. Tensors that a model ties are stored
    once and stay tied. Raises InputError before writing for models that do not fit each other,
    and for NaN, infinity or overflow where it is met.
    """
    check_tensors(models)
    torch.set_num_threads(stage.runtime.thread_count())
    layout = models[0].headers()
    with contextlib.ExitStack() as stack:
        parents = Parents(models, stack)
        writer = stack.enter_context(TensorWriter(stage.directory / "model.safetensors", layout))
        progress = stack.enter_context(stage.progress(len(layout), "tensors"))
        for name in layout:
            _merge_tensor(writer, name, parents, coefficients(name, parents))
            progress.advance()
    models[0].copy_companions(stage.directory)
    return Checkpoint(stage.directory)


def write_summary(checkpoint: Checkpoint, method: str, **figures: Any) -> None:
    """Leave `merge.json`, what the report shows of a merge."""
    content = {"method": method, "tensors": len(checkpoint.headers()), **figures}
    text = json.dumps(content, indent=1) + "\n"
    (checkpoint.directory / "merge.json").write_text(text, encoding="utf-8")


def _merge_tensor(
    writer: TensorWriter, name: str, parents: Parents, coefficients: Sequence[float]
) -> None:
    for start, stop in parents.pieces(name):
        pieces = parents.read(name, start, stop)
        merged = weighted_sum(coefficients, pieces, pieces[0].dtype)
        if not math.isfinite(float(merged.sum())) and not bool(merged.isfinite().all()):
            raise InputError(
                f"{name}: merging gives NaN or infinity (in a model, or {merged.dtype} overflows)"
            )
        writer.write(name, merged, start)
