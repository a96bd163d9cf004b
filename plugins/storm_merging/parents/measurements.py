"""Measurements of the models to merge, remembered in a store: angles of pairs, largest weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from storm_exp import InputError, StageContext
from storm_merging.parents.compatibility import Headers
from storm_merging.parents.spherical import Angle
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.read_ahead import ReadAhead

_VERSION = 1


def pair_angles(
    stage: StageContext, first: Checkpoint, second: Checkpoint, names: Headers
) -> dict[str, Angle]:
    """Return {tensor name: angle between the two models' tensors} for the tensors `names`.

    In a store the angles are remembered, so that another t does not read the weights again. Raises
    InputError, naming the tensor, for NaN or infinity.
    """
    measure = partial(_pair_sums, stage, first, second, names)
    sums = _remember(stage, "angles", {"models": [first, second]}, measure)
    return {name: Angle(*values) for name, values in sums.items()}


def _pair_sums(
    stage: StageContext, first: Checkpoint, second: Checkpoint, names: Headers
) -> dict[str, list[float]]:
    """Return {tensor name: [Σ a², Σ b², Σ a·b]}."""
    sums = {}
    with (
        first.open_weights() as first_weights,
        second.open_weights() as second_weights,
        ReadAhead([first_weights, second_weights], names) as ahead,
        stage.progress(len(names), "tensors", "angles between the models") as progress,
    ):
        for name in names:
            angle = Angle()
            for _, (a, b) in ahead.read(name):
                angle.add(a, b)
            if not angle.finite:
                raise InputError(f"{name} holds NaN or infinity in one of the models")
            sums[name] = [angle.square_a, angle.square_b, angle.product]
            progress.advance()
    return sums


def check_finite(stage: StageContext, models: Sequence[Checkpoint]) -> None:
    """Raise InputError, naming the tensor, for NaN or infinity in a model.

    In a store each model is read only once. Without a store, nothing is checked here: the merge is
    written at once, and checked then.
    """
    if not stage.keeps(*models):
        return
    for model in models:
        measure = partial(_largest_weights, stage, model)
        _remember(stage, "largest_weights", {"model": model}, measure)


def _largest_weights(stage: StageContext, model: Checkpoint) -> dict[str, float]:
    largest = {}
    names = model.headers()
    with (
        model.open_weights() as weights,
        ReadAhead([weights], names) as ahead,
        stage.progress(len(names), "tensors", "looking for NaN") as progress,
    ):
        for name in names:
            largest[name] = 0.0
            for _, (piece,) in ahead.read(name):
                piece_largest = float(piece.abs().max())
                if not math.isfinite(piece_largest):
                    raise InputError(f"{name} holds NaN or infinity in one of the models")
                largest[name] = max(largest[name], piece_largest)
            progress.advance()
    return largest


def _remember(
    stage: StageContext,
    name: str,
    inputs: Mapping[str, Checkpoint | Sequence[Checkpoint]],
    measure: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Return the result of `measure`, from the store's memo if there is one."""

    def fill(directory: Path) -> None:
        text = json.dumps(measure(), separators=(",", ":")) + "\n"
        (directory / f"{name}.json").write_text(text, encoding="utf-8")

    folder = stage.memo(name, _VERSION, inputs, fill)
    result: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return result
