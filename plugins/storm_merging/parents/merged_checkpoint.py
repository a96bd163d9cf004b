"""A merged checkpoint: a linear combination of stored models, or written weights."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from storm_exp import StageContext
from storm_models.chat.inheritance import inherit_chat
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.linear_combination import LinearCombination
from storm_models.checkpoint.weight_file import write_weights
from storm_models.checkpoint.weights import Headers, SumWeights
from storm_models.folder.files import WEIGHT_FILE


def merge(
    stage: StageContext,
    models: Sequence[Checkpoint],
    coefficients: Mapping[str, Sequence[float]],
    headers: Headers | None = None,
) -> Checkpoint:
    """Return Σ coefficient · tensor for every tensor, with all other files from the first model.

    `coefficients` is {tensor name: a number per model}. Weights get the first model's dtypes, or
    those of `headers`, rounded once; tied tensors are stored once and stay tied.
    """
    add_models(stage, models, coefficients, models[0].headers() if headers is None else headers)
    models[0].copy_companions(stage.directory)
    inherit_chat(stage, stage.directory, [model.directory for model in models])
    return Checkpoint(stage.directory)


def add_models(
    stage: StageContext,
    models: Sequence[Checkpoint],
    coefficients: Mapping[str, Sequence[float]],
    headers: Headers,
    names: Mapping[str, Sequence[str | None]] | None = None,
) -> None:
    """Put the weights Σ coefficient · tensor into the stage, rounded once to the `headers`' dtypes.

    `names` is {tensor name: its name in every model, None in one that it is not made of}, where
    these differ. If a store holds all models, no weight is written: the result refers to them.
    Otherwise weights are written, and NaN or overflow raises InputError.
    """
    kept = {name: header for name, header in headers.items() if name in coefficients}
    renamed = {
        name: list(own) for name, own in (names or {}).items() if any(each != name for each in own)
    }
    if stage.keeps(*models):
        for model in {model.key: model for model in models}.values():
            stage.reference(model)
        factors = {name: list(row) for name, row in coefficients.items()}
        keys = [model.key for model in models]
        LinearCombination(keys, kept, factors, renamed).write(stage.directory)
        return
    with contextlib.ExitStack() as stack:
        parents = [stack.enter_context(model.open_weights()) for model in models]
        progress = stack.enter_context(stage.progress(len(kept), "tensors"))
        weights = SumWeights(kept, coefficients, parents, renamed)
        write_weights(weights, stage.directory / WEIGHT_FILE, progress.advance)


def write_summary(checkpoint: Checkpoint, method: str, **figures: Any) -> None:
    """Write `merge.json`, which the report reads."""
    content = {"method": method, "tensors": len(checkpoint.headers()), **figures}
    text = json.dumps(content, indent=1) + "\n"
    (checkpoint.directory / "merge.json").write_text(text, encoding="utf-8")
