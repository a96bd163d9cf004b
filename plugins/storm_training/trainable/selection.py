"""The selection of the parameters that train."""

from __future__ import annotations

import random
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
    trainable: TrainableSettings,
    parameters: Iterable[str],
    *,
    modules: Sequence[LayerRow] = (),
    new_layers: Sequence[int] = (),
) -> set[str]:
    """Return the names among a model's `parameters` that train.

    `parameters` holds a tied head under its embedding's name only. `modules` is the table of
    signal-to-noise ratios, `new_layers` the blocks that an expansion added. Raises InputError when
    nothing is selected or a selected name is not a parameter, SettingError for a pattern that
    matches nothing.
    """
    known = list(parameters)
    if trainable.method == "all":
        return set(known)
    if trainable.method == "spectrum":
        return spectrum_selection(
            known,
            modules,
            trainable.fraction,
            embedding=trainable.embedding,
            head=trainable.head,
            norms=trainable.norms,
            norm_layers=trainable.norm_layers,
        )
    if trainable.method == "named":
        return _named(trainable.names, known)
    depth = 1 + max((layer for layer in map(_layer, known) if layer is not None), default=-1)
    if trainable.method == "new_layers":
        if not new_layers:
            raise InputError(
                "trainable.method=new_layers: the model records no added layers (of a merger such "
                "as depth_upscale or block_expand)"
            )
        return _of_layers(known, set(new_layers), norms=True)
    if trainable.method == "last_layers":
        if trainable.layers > depth:
            problem = f"the model has {depth} layers"
            raise SettingError("trainable.layers", trainable.layers, problem)
        last = set(range(depth - trainable.layers, depth))
        ends = {HEAD} if trainable.head else set()
        ends |= {FINAL_NORM} if trainable.norms else set()
        return _of_layers(known, last, norms=trainable.norms) | ends & set(known)
    raise AssertionError(f"{trainable.method} adds parameters instead of choosing some")


def check_names(trainable: TrainableSettings, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise SettingError for names and types of matrices that the model does not have.

    `shapes` are those of its stored tensors. A tied head is not among them, but can get an update.
    """
    if trainable.method == "named":
        _named(trainable.names, list(shapes))
    if trainable.low_rank:
        matrices = [name for name, shape in shapes.items() if len(shape) == 2]
        types = {name.removesuffix(".weight").rsplit(".", 1)[-1] for name in [*matrices, HEAD]}
        for kind in trainable.modules:
            if kind not in types:
                problem = f"the model has no such matrix{did_you_mean(kind, types)}"
                raise SettingError("trainable.modules", kind, problem)


def highest_snr(modules: Sequence[LayerRow], fraction: float) -> set[str]:
    """Return, of the N matrices of each module type, the int(N · fraction) with the highest SNR.

    Equal ratios keep the table's order (a stable descending sort, as in Spectrum's own code).
    """
    by_type: dict[str, list[LayerRow]] = {}
    for row in modules:
        by_type.setdefault(row["type"], []).append(row)
    return {
        row["name"]
        for rows in by_type.values()
        for row in sorted(rows, key=lambda row: -row["snr"])[: int(len(rows) * fraction)]
    }


def shuffled(modules: Sequence[LayerRow], seed: int) -> list[LayerRow]:
    """Return the table with the ratios of each module type dealt anew at random.

    What is selected by it is a control: as many matrices of each type, whatever their ratios.
    """
    order = random.Random(seed)
    ratios: dict[str, list[float]] = {}
    for row in modules:
        ratios.setdefault(row["type"], []).append(row["snr"])
    for dealt in ratios.values():
        order.shuffle(dealt)
    return [{**row, "snr": ratios[row["type"]].pop()} for row in modules]


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
    """Return the names among a model's `parameters` that Spectrum trains, biases included.

    `parameters` holds a tied head under its embedding's name only. `norms` adds all norms,
    `norm_layers` those of the first so many blocks. Raises InputError when a selected name is not
    a parameter of the model, or nothing is selected.
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
            problem = f"matches the whole name of no parameter of the model{near}"
            raise SettingError("trainable.names", pattern, problem)
        chosen |= matches
    return chosen


def _of_layers(known: Sequence[str], layers: set[int], *, norms: bool) -> set[str]:
    return {
        name for name in known if _layer(name) in layers and (norms or not _NORM.fullmatch(name))
    }


def _layer(name: str) -> int | None:
    match = _LAYER.fullmatch(name)
    return int(match[1]) if match else None
