"""The tensors of a merge: for each, its sources in the parents and the parameters that hold."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from storm_exp import InputError, SettingError, did_you_mean
from storm_merging.layers.slices import SliceOfLayers, SourceLayers
from storm_merging.mergefile.method_table import METHODS, Base
from storm_merging.mergefile.parameters import Setting, evaluate, filters
from storm_models.families.architecture import EMBEDDING, HEAD

_LAYER = re.compile(r"(.*\blayers\.)(\d+)(\..+)")
_FIRST = re.compile(r"\bembed_")
"""Part of the name of tensors before the layers; all others outside the layers come after them."""

SMALLEST = 1e-8
"""Weights whose sum is smaller are not divided by it (mergekit 0.1.5)."""


@dataclasses.dataclass(frozen=True)
class OutputTensor:
    """A tensor of the merge."""

    name: str
    sources: tuple[tuple[int, str], ...]
    """(model, its tensor's name), models counted from 0."""
    base: int | None
    """The base's place among the sources."""
    shared: dict[str, Any]
    """Parameters of the merge."""
    own: tuple[dict[str, Any], ...]
    """Parameters of every source; those of the base are not used."""

    def of_others(self, parameter: str) -> list[Any]:
        """Return a parameter's values for all sources but the base, in order."""
        return [own[parameter] for i, own in enumerate(self.own) if i != self.base]


def output_tensors(
    method: str,
    slices: Sequence[SliceOfLayers],
    parameters: Mapping[str, Setting],
    names: Sequence[Collection[str]],
    depths: Sequence[int],
) -> list[OutputTensor]:
    """Return the tensors of a merge, in order.

    `names` holds the tensors' names of every model, `depths` their layers. Of two slices, the first
    gives what is before the layers (the embedding), the last what comes after them. There is a head
    where one of the models has it; that of a model that ties it is its embedding. Raises
    InputError for a tensor that one of its sources lacks, for a parameter that is nowhere given
    and for values that cannot be; SettingError for a filter that is part of no tensor's name.
    """
    used = {source.model for piece in slices for source in piece.sources}
    for model in sorted(used):
        _check_layers(model, names[model], depths[model])
    with_head = any(HEAD in names[model] for model in used)
    made: list[OutputTensor] = []
    layer = 0
    for number, piece in enumerate(slices):
        place = f"slices[{number}]"
        resolver = _Resolver(method, piece, parameters, place)
        outside = [name for name in names[piece.sources[0].model] if not _LAYER.fullmatch(name)]
        if with_head and HEAD not in outside:
            outside.append(HEAD)
        first = [name for name in outside if _FIRST.search(name)]
        last = [name for name in outside if not _FIRST.search(name)]
        if number == 0:
            made += [resolver.tensor(name, _own_names(name, piece, names), 0.0) for name in first]
        count = piece.layers(depths)
        for index in range(count):
            position = index / (count - 1) if count > 1 else 1.0
            for name, sources in _layer_names(piece, index, layer, names):
                made.append(resolver.tensor(name, sources, position))
            layer += 1
        if number == len(slices) - 1:
            made += [resolver.tensor(name, _own_names(name, piece, names), 0.0) for name in last]
    _check_sources(made, names)
    _check_values(method, made)
    _check_filters(method, slices, parameters, made)
    return made


class _Resolver:
    """Resolves the parameters of one slice's tensors."""

    def __init__(
        self, method: str, piece: SliceOfLayers, parameters: Mapping[str, Setting], place: str
    ) -> None:
        self._method, self._piece, self._place = method, piece, place
        self._levels = [piece.parameters, parameters]
        takes_base = METHODS[method].base is not Base.NONE
        models = [source.model for source in piece.sources]
        self._base = models.index(piece.base) if takes_base and piece.base in models else None

    def tensor(self, name: str, sources: list[str], position: float) -> OutputTensor:
        """Return the tensor `name`, made of the models' tensors `sources`."""
        method = METHODS[self._method]
        pairs = [
            (source.model, each) for source, each in zip(self._piece.sources, sources, strict=True)
        ]
        own = []
        for place, (source, each) in enumerate(zip(self._piece.sources, sources, strict=True)):
            levels = [source.parameters, *self._levels]
            needed = source if place != self._base else None
            stated = name if name == HEAD else each  # a tied head is an embedding elsewhere
            own.append(
                {key: self._value(key, levels, stated, position, needed) for key in method.own}
            )
        shared = {
            key: self._value(key, self._levels, name, position, self._piece)
            for key in method.shared
        }
        return OutputTensor(name, tuple(pairs), self._base, shared, tuple(own))

    def _value(
        self,
        key: str,
        levels: Sequence[Mapping[str, Setting]],
        name: str,
        position: float,
        needed_by: SourceLayers | SliceOfLayers | None,
    ) -> Any:
        parameter = METHODS[self._method].parameters[key]
        for level in levels:
            if key in level:
                value = evaluate(level[key], name, position)
                if value is not None:
                    return parameter.kind(value)
        if parameter.default is None and not parameter.optional and needed_by is not None:
            whom = (
                f"model {needed_by.model + 1} of {self._place}"
                if isinstance(needed_by, SourceLayers)
                else self._place
            )
            raise InputError(
                f"{self._method} needs the parameter {key}: {whom} has none for {name}"
            )
        return parameter.default


def _own_names(name: str, piece: SliceOfLayers, names: Sequence[Collection[str]]) -> list[str]:
    """Return the name of a tensor outside the layers in every source."""
    tied = [name == HEAD and HEAD not in names[source.model] for source in piece.sources]
    return [EMBEDDING if each else name for each in tied]


def _layer_names(
    piece: SliceOfLayers, index: int, layer: int, names: Sequence[Collection[str]]
) -> Iterator[tuple[str, list[str]]]:
    """Yield (name in the merge, its name in every source) of one layer's tensors."""
    starts = [source.start for source in piece.sources]
    for name in names[piece.sources[0].model]:
        match = _LAYER.fullmatch(name)
        if match and int(match[2]) == starts[0] + index:
            sources = [f"{match[1]}{start + index}{match[3]}" for start in starts]
            yield f"{match[1]}{layer}{match[3]}", sources


def _check_layers(model: int, names: Collection[str], depth: int) -> None:
    found = {int(match[2]) for name in names if (match := _LAYER.fullmatch(name))}
    if not set(range(depth)) <= found:
        raise InputError(
            f"model {model + 1}: config.json states {depth} layers, and its tensors are named as "
            f"of {len(found)} (…layers.NUMBER.…): such a family is not merged by layers here"
        )


def _check_sources(made: Sequence[OutputTensor], names: Sequence[Collection[str]]) -> None:
    for tensor in made:
        for model, source in tensor.sources:
            if source not in names[model]:
                first = tensor.sources[0][0]
                raise InputError(f"model {model + 1} lacks {source}, which model {first + 1} has")


def _check_values(method: str, made: Sequence[OutputTensor]) -> None:
    """Raise InputError for values that cannot be together."""
    for tensor in made:
        if method == "linear" and tensor.shared["normalize"]:
            weights = tensor.of_others("weight")
            if abs(sum(weights)) < SMALLEST:
                raise InputError(
                    f"{tensor.name}: weights {weights} sum to 0 and cannot be normalised"
                )
        if method in ("della", "della_linear"):
            pairs = zip(tensor.of_others("density"), tensor.of_others("epsilon"), strict=True)
            for density, epsilon in pairs:
                low, high = density - epsilon, density + epsilon
                if 0 < density < 1 and not (low > 0 and high < 1):
                    raise InputError(
                        f"{tensor.name}: density={density:g} and epsilon={epsilon:g}: the "
                        f"probabilities, {low:g} to {high:g}, must lie between 0 and 1"
                    )


def _check_filters(
    method: str,
    slices: Sequence[SliceOfLayers],
    parameters: Mapping[str, Setting],
    made: Sequence[OutputTensor],
) -> None:
    """Raise SettingError for a filter without effect.

    That of a parameter which each model has is part of the models' names, another of the merge's.
    """
    names = {tensor.name for tensor in made}
    sources = {name for tensor in made for _, name in tensor.sources} | (names & {HEAD})
    levels: list[tuple[str, Mapping[str, Setting]]] = [("parameters", parameters)]
    for number, piece in enumerate(slices):
        levels.append((f"slices[{number}].parameters", piece.parameters))
        levels += [
            (f"slices[{number}].sources[{i}].parameters", source.parameters)
            for i, source in enumerate(piece.sources)
        ]
    for where, level in levels:
        for key, part in filters(dict(level)):
            known = sources if key in METHODS[method].own else names
            if not any(part in name for name in known):
                parts = {each for name in known for each in name.split(".") if not each.isdigit()}
                near = did_you_mean(part, parts)
                problem = f"the filter is part of no tensor's name{near}"
                raise SettingError(f"{where}.{key}", part, problem)
