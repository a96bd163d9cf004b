"""Slices of a merge: layers that lie above each other, and where they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from storm_exp import InputError, SettingError, did_you_mean
from storm_merging.mergefile.parameters import Setting

_SLICE = ("sources", "base", "parameters")
_SOURCE = ("model", "layers", "parameters")


@dataclasses.dataclass(frozen=True)
class SourceLayers:
    """Layers of a model."""

    model: int
    """The model's place, from 0."""
    start: int
    end: int | None
    """None: to the last layer."""
    parameters: dict[str, Setting]


@dataclasses.dataclass(frozen=True)
class SliceOfLayers:
    """As many layers of each source, merged into as many layers."""

    sources: tuple[SourceLayers, ...]
    base: int | None
    """The base model's place, from 0."""
    parameters: dict[str, Setting]
    where: str
    """The setting that states it, such as slices[0]."""

    def layers(self, depths: Sequence[int]) -> int:
        """Return the number of layers, for models of these depths.

        Raises SettingError for layers that a model lacks, InputError for models of other depths.
        """
        counts = []
        for i, source in enumerate(self.sources):
            depth = depths[source.model]
            end = depth if source.end is None else source.end
            if end > depth:
                raise SettingError(
                    f"{self.where}.sources[{i}].layers",
                    [source.start, end],
                    f"model {source.model + 1} has {depth} layers, and layers {source.start} to "
                    f"{end} are asked for",
                )
            counts.append(end - source.start)
        if len(set(counts)) > 1:
            models = ", ".join(
                f"{count} of model {source.model + 1}"
                for count, source in zip(counts, self.sources, strict=True)
            )
            raise InputError(
                f"models of different depth are merged slice by slice, with as many layers of each "
                f"(slices with layer_range); here are {models}"
            )
        return counts[0]


def read_slices(value: list[Any], base: int, models: int) -> list[SliceOfLayers]:
    """Return the slices as the setting `slices` has them; raises SettingError.

    There, models are numbers of the port `models`, from 1; a base of 0 is none.
    """
    if not value:
        raise SettingError("slices", value, "needs at least one slice")
    return [
        _read_slice(each, base, models, f"slices[{number}]") for number, each in enumerate(value)
    ]


def _read_slice(value: Any, base: int, models: int, where: str) -> SliceOfLayers:
    _check_keys(value, _SLICE, where)
    sources = value.get("sources")
    if not isinstance(sources, list) or not sources:
        raise SettingError(f"{where}.sources", sources, "must be a list, and not empty")
    own = value.get("base") or base
    return SliceOfLayers(
        tuple(_read_source(s, models, f"{where}.sources[{i}]") for i, s in enumerate(sources)),
        _model(own, models, f"{where}.base") if own else None,
        dict(value.get("parameters") or {}),
        where,
    )


def _read_source(value: Any, models: int, where: str) -> SourceLayers:
    _check_keys(value, _SOURCE, where)
    layers = value.get("layers")
    if layers is not None and not (
        isinstance(layers, list)
        and len(layers) == 2
        and all(isinstance(n, int) for n in layers)
        and 0 <= layers[0] < layers[1]
    ):
        raise SettingError(f"{where}.layers", layers, "must be [FIRST, END], with FIRST before END")
    start, end = layers or (0, None)
    model = _model(value.get("model"), models, f"{where}.model")
    return SourceLayers(model, start, end, dict(value.get("parameters") or {}))


def _model(value: Any, models: int, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= models:
        raise SettingError(where, value, f"must be the number of a model, 1 to {models}")
    return value - 1


def _check_keys(value: Any, keys: Sequence[str], where: str) -> None:
    if not isinstance(value, dict):
        raise SettingError(where, value, f"must hold {', '.join(keys)}")
    for key in value:
        if key not in keys:
            raise SettingError(where, key, f"is no key{did_you_mean(str(key), keys)}")
