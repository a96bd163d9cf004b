"""Which tensors of a model train."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from storm_exp import InputError, SettingError, did_you_mean
from storm_models.families.architecture import EMBEDDING, HEAD
from storm_training.trainable.layer_table import LayerRow
from storm_training.trainable.settings import TrainableSettings

_NORM = re.compile(r".*(?:norm|layernorm)\.weight")
_LAYER = re.compile(r"(?:.*\.)?layers\.(\d+)\..*")
FINAL_NORM = "model.norm.weight"


def choose(
    chosen: TrainableSettings,
    parameters: Iterable[str],
    *,
    modules: Sequence[LayerRow] = (),
    new_layers: Sequence[int] = (),
) -> set[str]:
    """Return the names among a model's `parameters` that train.

    `parameters` holds a tied head under its embedding's name only. `modules` is the table of
    signal-to-noise ratios, `new_layers` the blocks that an expansion added. Raises InputError when
    nothing is chosen or a chosen name is not a parameter, SettingError for a pattern that matches
    nothing.
    """
    known = list(parameters)
    if chosen.method == "all":
        return set(known)
    if chosen.method == "spectrum":
        return spectrum_selection(
            known,
            modules,
            chosen.fraction,
            embedding=chosen.embedding,
            head=chosen.head,
            norms=chosen.norms,
            norm_layers=chosen.norm_layers,
        )
    if chosen.method == "named":
        return _named(chosen.names, known)
    depth = 1 + max((layer for layer in map(_layer, known) if layer is not None), default=-1)
    if chosen.method == "new_layers":
        if not new_layers:
            raise InputError("the model names no new layers: it was not made by adding any")
        return _of_layers(known, set(new_layers), norms=True)
    if chosen.method == "last_layers":
        if chosen.layers > depth:
            problem = f"the model has {depth} layers"
            raise SettingError("trainable.layers", chosen.layers, problem)
        last = set(range(depth - chosen.layers, depth))
        ends = {HEAD} if chosen.head else set()
        ends |= {FINAL_NORM} if chosen.norms else set()
        return _of_layers(known, last, norms=chosen.norms) | ends & set(known)
    raise AssertionError(f"{chosen.method} adds parameters instead of choosing some")


def check_names(chosen: TrainableSettings, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise SettingError for names and types of matrices that a model's tensors do not have.

    `shapes` are those of its stored tensors: a tied head has none, but can get an update.
    """
    if chosen.method == "named":
        _named(chosen.names, list(shapes))
    if chosen.low_rank:
        matrices = [name for name, shape in shapes.items() if len(shape) == 2]
        types = {name.removesuffix(".weight").rsplit(".", 1)[-1] for name in [*matrices, HEAD]}
        for kind in chosen.modules:
            if kind not in types:
                problem = f"the model has no such matrix{did_you_mean(kind, types)}"
                raise SettingError("trainable.modules", kind, problem)


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
    norm_layers: int = 0,
) -> set[str]:
    """Return the names among a model's `parameters` that train; the bias goes with its matrix.

    `parameters` holds a tied head under its embedding's name only. `norms` adds all of them,
    `norm_layers` those of the first so many blocks. Raises InputError when a
    chosen name is not a parameter of the model, or nothing is chosen.
    """
    known = set(parameters)
    chosen = highest_snr(modules, fraction)
    missing = sorted(chosen - known)
    if missing:
        raise InputError(f"the table of layers names {missing[0]}, which the model does not have")
    chosen |= {name.removesuffix("weight") + "bias" for name in chosen} & known
    if embedding:
        if EMBEDDING not in known:
            raise InputError(f"the model has no parameter {EMBEDDING}")
        chosen.add(EMBEDDING)
    if head and HEAD in known:
        chosen.add(HEAD)
    if norms:
        chosen |= {name for name in known if _NORM.fullmatch(name)}
    first = set(range(norm_layers))
    chosen |= {name for name in known if _layer(name) in first and _NORM.fullmatch(name)}
    if not chosen:
        raise InputError(f"fraction={fraction} of {len(modules)} matrices selects nothing to train")
    return chosen


def _named(patterns: Sequence[str], known: Sequence[str]) -> set[str]:
    chosen: set[str] = set()
    for pattern in patterns:
        matches = {name for name in known if re.fullmatch(pattern, name)}
        if not matches:
            near = did_you_mean(pattern.replace("\\", ""), known)
            problem = f"matches no parameter of the model as a whole{near}"
            raise SettingError("trainable.names", pattern, problem)
        chosen |= matches
    return chosen


def _of_layers(known: Sequence[str], layers: set[int], *, norms: bool) -> set[str]:
    return {
        name for name in known if _layer(name) in layers and (norms or not _NORM.fullmatch(name))
    }


def _layer(name: str) -> int | None:
    found = _LAYER.fullmatch(name)
    return int(found[1]) if found else None
