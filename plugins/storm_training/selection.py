"""Which tensors of a model train."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from storm_exp import InputError
from storm_training.layer_table import LayerRow

_NORM = re.compile(r".*(?:norm|layernorm)\.weight")
EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"


def highest_snr(modules: Sequence[LayerRow], fraction: float) -> set[str]:
    """Return the names of the int(N · fraction) matrices of each module type with the highest SNR.

    Equal ratios keep the order of the table (a stable descending sort, as in the reference).
    """
    by_type: dict[str, list[LayerRow]] = {}
    for row in modules:
        by_type.setdefault(row["type"], []).append(row)
    return {
        row["name"]
        for rows in by_type.values()
        for row in sorted(rows, key=lambda row: -row["snr"])[: int(len(rows) * fraction)]
    }


def spectrum_selection(
    parameters: Iterable[str],
    modules: Sequence[LayerRow],
    fraction: float,
    *,
    embedding: bool,
    head: bool,
    norms: bool,
) -> set[str]:
    """Return the names among a model's `parameters` that train; the bias goes with its matrix.

    `parameters` holds a tied head under its embedding's name only. Raises InputError when a
    chosen name is not a parameter of the model, or nothing is chosen.
    """
    known = set(parameters)
    chosen = highest_snr(modules, fraction)
    missing = sorted(chosen - known)
    if missing:
        raise InputError(f"the table of layers names {missing[0]}, which the model does not have")
    chosen |= {name.removesuffix("weight") + "bias" for name in chosen} & known
    if embedding:
        _add(chosen, known, EMBEDDING)
    if head and HEAD in known:
        chosen.add(HEAD)
    if norms:
        chosen |= {name for name in known if _NORM.fullmatch(name)}
    if not chosen:
        raise InputError(f"fraction={fraction} of {len(modules)} matrices selects nothing to train")
    return chosen


def _add(chosen: set[str], known: set[str], name: str) -> None:
    if name not in known:
        raise InputError(f"the model has no parameter {name}")
    chosen.add(name)
