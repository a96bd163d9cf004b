"""What a merge reads of its parents before it is made: in a store, of each pair and model once."""

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
from storm_models.checkpoint.weights import pieces

_VERSION = 1


def pair_angles(
    stage: StageContext, first: Checkpoint, second: Checkpoint, names: Headers
) -> dict[str, Angle]:
    """Return {tensor name: angle between the two models' tensors}; `names` are those of both.

    In a store they are kept: another t needs no look at the weights. Raises InputError, naming
    the tensor, for NaN or infinity.
    """
    measure = partial(_pair_sums, stage, first, second, names)
    sums = _kept(stage, "angles", {"models": [first, second]}, measure)
    return {name: Angle(*values) for name, values in sums.items()}


def _pair_sums(
    stage: StageContext, first: Checkpoint, second: Checkpoint, names: Headers
) -> dict[str, list[float]]:
    """Return {tensor name: [Σ a², Σ b², Σ a·b]}."""
    found = {}
    with (
        first.open_weights() as one,
        second.open_weights() as two,
        stage.progress(len(names), "tensors", "angles between the models") as progress,
    ):
        for name, (_, shape) in names.items():
            angle = Angle()
            for start, stop in pieces(math.prod(shape)):
                angle.add(one.read(name, start, stop), two.read(name, start, stop))
            if not angle.finite:
                raise InputError(f"{name} holds NaN or infinity in one of the models")
            found[name] = [angle.square_a, angle.square_b, angle.product]
            progress.advance()
    return found


def check_finite(stage: StageContext, models: Sequence[Checkpoint]) -> None:
    """Raise InputError, naming the tensor, for NaN or infinity in a model.

    In a store each model is looked at once. Outside any, a merge is written, and checked then.
    """
    if not stage.keeps(*models):
        return
    for model in models:
        measure = partial(_largest_weights, stage, model)
        _kept(stage, "largest_weights", {"model": model}, measure)


def _largest_weights(stage: StageContext, model: Checkpoint) -> dict[str, float]:
    found = {}
    names = model.headers()
    with (
        model.open_weights() as weights,
        stage.progress(len(names), "tensors", "looking for NaN") as progress,
    ):
        for name, (_, shape) in names.items():
            found[name] = 0.0
            for start, stop in pieces(math.prod(shape)):
                largest = float(weights.read(name, start, stop).abs().max())
                if not math.isfinite(largest):
                    raise InputError(f"{name} holds NaN or infinity in one of the models")
                found[name] = max(found[name], largest)
            progress.advance()
    return found


def _kept(
    stage: StageContext,
    name: str,
    inputs: Mapping[str, Checkpoint | Sequence[Checkpoint]],
    measure: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Return what `measure` gives, or gave to whoever asked first where memos are kept."""

    def fill(directory: Path) -> None:
        text = json.dumps(measure(), separators=(",", ":")) + "\n"
        (directory / f"{name}.json").write_text(text, encoding="utf-8")

    payload = stage.memo(name, _VERSION, inputs, fill)
    kept: dict[str, Any] = json.loads((payload / f"{name}.json").read_text(encoding="utf-8"))
    return kept
