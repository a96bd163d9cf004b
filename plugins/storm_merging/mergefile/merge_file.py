"""A merge as a mergekit YAML states it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from storm_exp import InputError, did_you_mean
from storm_merging.mergefile.method_table import METHODS, PARAMETERS, Base, unknown_method
from storm_merging.mergefile.model_reference import ModelReference, read_reference
from storm_merging.mergefile.parameters import Setting, check_parameters
from storm_merging.mergefile.strict_yaml import place_in, read_yaml
from storm_merging.mergefile.tokenizer_section import TokenizerSection, read_tokenizer
from storm_models.dtype import Dtype

_KEYS = (
    *("merge_method", "models", "slices", "base_model", "parameters", "dtype", "out_dtype"),
    *("tokenizer_source", "tokenizer", "chat_template"),
)
_WITHOUT_EFFECT = ("name", "residual_weight")
"""Keys that mergekit-yaml reads past: a name for mergekit-multi, and one that it has given up."""
_NOT_HERE = {
    "modules": "a merge of models with several parts (vision, audio) is not read here",
    "experts": "a mixture of experts (mergekit-moe) is not built here",
    "gate_mode": "a mixture of experts (mergekit-moe) is not built here",
}
_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


@dataclasses.dataclass(frozen=True)
class Source:
    """A model that a slice takes layers of."""

    model: ModelReference
    layers: tuple[int, int] | None = None
    """The first layer, and the one after the last; None: all."""
    parameters: dict[str, Setting] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Slice:
    """Layers that lie above each other in the result, merged from as many of each source."""

    sources: list[Source]
    base: ModelReference | None = None
    parameters: dict[str, Setting] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class MergeFile:
    """The contents of a mergekit YAML."""

    method: str
    slices: list[Slice]
    base: ModelReference | None = None
    parameters: dict[str, Setting] = dataclasses.field(default_factory=dict)
    dtype: Dtype | None = None
    """What mergekit computes in."""
    out_dtype: Dtype | None = None
    """The format of the result; None: that of `dtype`, or of the parents."""
    tokenizer: TokenizerSection | None = None
    """The tokens of the result; None: all models must have the same."""
    chat_template: str = ""
    """auto, a name, or a text; empty: the base's."""
    notices: list[str] = dataclasses.field(default_factory=list)
    """What the file says without effect."""

    def models(self) -> list[ModelReference]:
        """Return every model once, in order."""
        named = [source.model for each in self.slices for source in each.sources]
        bases = [base for base in (self.base, *(each.base for each in self.slices)) if base]
        tokenizers = self.tokenizer.models() if self.tokenizer else []
        return list(dict.fromkeys([*named, *bases, *tokenizers]))


def read_merge_file(file: Path) -> MergeFile:
    """Return what a file states.

    Raises InputError, naming file, key and value, for a key or a method that is unknown, with the
    nearest name, for values of the wrong kind, and for what is not read here.
    """
    content = read_yaml(file)
    known = {"merge_method", "models", "slices", *_NOT_HERE}
    if not isinstance(content, dict) or not known & set(content):
        raise InputError(f"{file}: no mergekit YAML, which holds merge_method and models or slices")
    try:
        return _Reader(file.absolute().parent).read(content)
    except InputError as error:
        raise InputError(f"{place_in(file, str(error))}: {error}") from error


class _Reader:
    """Reads the parts of one file; what cannot be is told by the path of its key."""

    def __init__(self, beside: Path) -> None:
        """`beside` is the file's folder."""
        self._beside = beside
        self._notices: list[str] = []

    def read(self, content: dict[str, Any]) -> MergeFile:
        """Return the file's contents."""
        for key, value in content.items():
            if key in _NOT_HERE and value is not None:
                raise InputError(f"{key}: {_NOT_HERE[str(key)]}")
        self._check_keys(content, _KEYS, "")
        name = content.get("merge_method")
        if not isinstance(name, str):
            given = f"={name!r}" if "merge_method" in content else ""
            raise InputError(f"merge_method{given}: must name a method: {', '.join(METHODS)}")
        if name not in METHODS:
            raise InputError(f"merge_method: {unknown_method(name)}")
        self._method = METHODS[name]
        base = self._reference(content, "base_model", "")
        if bool(content.get("models")) == bool(content.get("slices")):
            raise InputError("needs either models or slices, and not both")
        if content.get("models"):
            slices = [self._models(content["models"], base)]
        else:
            slices = [
                self._slice(each, f"slices[{i}]")
                for i, each in enumerate(self._list(content["slices"], "slices"))
            ]
        parameters = self._parameters(content, "", own=False)
        for i, each in enumerate(slices):
            where = f"slices[{i}]" if content.get("slices") else "models"
            self._check_sources(name, each, each.base or base, where)
            self._check_given(name, each, each.base or base, parameters, where)
        return MergeFile(
            method=name,
            slices=slices,
            base=base,
            parameters=parameters,
            dtype=self._dtype(content, "dtype"),
            out_dtype=self._dtype(content, "out_dtype"),
            tokenizer=read_tokenizer(content, self._beside),
            chat_template=self._chat_template(content),
            notices=self._notices,
        )

    def _chat_template(self, content: dict[str, Any]) -> str:
        value = content.get("chat_template")
        if value is not None and not isinstance(value, str):
            raise InputError(
                f"chat_template={value!r}: must be auto, the name of a template, or its text"
            )
        return value or ""

    def _models(self, value: Any, base: ModelReference | None) -> Slice:
        sources = []
        for i, each in enumerate(self._list(value, "models")):
            where = f"models[{i}]"
            self._check_mapping(each, where, ("model", "parameters"))
            sources.append(self._source(each, where, None))
        if base is not None and base not in [source.model for source in sources]:
            sources.append(Source(base))
        return Slice(sources)

    def _slice(self, value: Any, where: str) -> Slice:
        self._check_mapping(value, where, ("sources", "base_model", "parameters"))
        sources = []
        for i, each in enumerate(self._list(value.get("sources"), f"{where}.sources")):
            path = f"{where}.sources[{i}]"
            self._check_mapping(each, path, ("model", "layer_range", "parameters"))
            sources.append(self._source(each, path, self._layers(each, path)))
        lengths = {
            stop - start for _, (start, stop) in ((s, s.layers) for s in sources if s.layers)
        }
        if len(lengths) > 1:
            ranges = ", ".join(str(list(source.layers or ())) for source in sources)
            raise InputError(f"{where}: its sources have different numbers of layers: {ranges}")
        base = self._reference(value, "base_model", where)
        return Slice(sources, base, self._parameters(value, where, own=False))

    def _source(self, value: dict[str, Any], where: str, layers: tuple[int, int] | None) -> Source:
        model = self._reference(value, "model", where)
        if model is None:
            raise InputError(f"{where}: names no model")
        return Source(model, layers, self._parameters(value, where, own=True))

    def _layers(self, value: dict[str, Any], where: str) -> tuple[int, int]:
        path = f"{where}.layer_range"
        given = value.get("layer_range")
        if (
            not isinstance(given, list)
            or len(given) != 2
            or not all(isinstance(n, int) and not isinstance(n, bool) for n in given)
        ):
            raise InputError(
                f"{path}={given!r}: must be [FIRST, END], layers from FIRST to before END"
            )
        first, end = given
        if first < 0 or end <= first:
            raise InputError(f"{path}={given}: holds no layer of a model")
        return first, end

    def _check_sources(
        self, name: str, each: Slice, base: ModelReference | None, where: str
    ) -> None:
        models = [source.model for source in each.sources]
        for model in models:
            if models.count(model) > 1:
                raise InputError(f"{where}: {model} is there twice")
        method = self._method
        others = [m for m in models if m != base] if method.base is not Base.NONE else models
        if method.base is Base.REQUIRED and base is None:
            raise InputError(f"base_model: {name} needs it")
        if method.base is not Base.NONE and base is not None and base not in models:
            raise InputError(f"{where}: {name} needs the base among its sources ({base})")
        wanted = f"{method.fewest} or more" if method.most is None else f"{method.fewest}"
        if len(others) < method.fewest or (method.most is not None and len(others) > method.most):
            besides = " besides the base" if method.base is not Base.NONE and base else ""
            raise InputError(
                f"{where}: {name} merges {wanted} model{'s' * (wanted != '1')}{besides}, not "
                f"{len(others)} ({', '.join(map(str, others)) or 'none'})"
            )

    def _check_given(
        self,
        name: str,
        each: Slice,
        base: ModelReference | None,
        parameters: dict[str, Setting],
        where: str,
    ) -> None:
        """Raise InputError for a parameter that is needed and nowhere given."""
        method, shared = self._method, {**parameters, **each.parameters}
        for key, parameter in method.parameters.items():
            if parameter.default is not None or parameter.optional or key in shared:
                continue
            if not parameter.each:
                raise InputError(f"{where}: {name} needs the parameter {key}")
            takes_base = method.base is not Base.NONE
            for source in each.sources:
                if key not in source.parameters and not (takes_base and source.model == base):
                    raise InputError(f"{where}: {name} needs the parameter {key} of {source.model}")

    def _reference(self, value: dict[str, Any], key: str, where: str) -> ModelReference | None:
        if value.get(key) is None:
            return None
        path = f"{where}.{key}".lstrip(".")
        return read_reference(value[key], path, self._beside)

    def _parameters(self, value: dict[str, Any], where: str, *, own: bool) -> dict[str, Setting]:
        given = value.get("parameters")
        if given is None:
            return {}
        path = f"{where}.parameters".lstrip(".")
        if not isinstance(given, dict):
            raise InputError(f"{path}={given!r}: must hold parameters, as in weight: 0.5")
        checked, notices = check_parameters(given, self._method, path, own=own)
        self._notices += notices
        return checked

    def _dtype(self, content: dict[str, Any], key: str) -> Dtype | None:
        value = content.get(key)
        if value is None:
            return None
        name = str(value).removeprefix("torch.")
        name = _DTYPES.get(name, name)
        if name not in list(Dtype):
            near = did_you_mean(name, list(Dtype)) or f"; one of {', '.join(Dtype)}"
            raise InputError(f"{key}={value!r}: no format of weights{near}")
        return Dtype(name)

    def _list(self, value: Any, where: str) -> list[Any]:
        if not isinstance(value, list) or not value:
            raise InputError(f"{where}={value!r}: must be a list, and not empty")
        return value

    def _check_mapping(self, value: Any, where: str, keys: tuple[str, ...]) -> None:
        if not isinstance(value, dict):
            raise InputError(f"{where}={value!r}: must hold {', '.join(keys)}")
        self._check_keys(value, keys, where)

    def _check_keys(self, value: dict[str, Any], keys: tuple[str, ...], where: str) -> None:
        for key in value:
            path = f"{where}.{key}".lstrip(".")
            if key in _WITHOUT_EFFECT:
                self._notices.append(f"{path} is without effect")
            elif key in PARAMETERS and "parameters" in keys:
                raise InputError(f"{path}: stands under parameters: parameters: {{{key}: …}}")
            elif key in ("model", "layer_range") and "sources" in keys:
                raise InputError(
                    f"{path}: stands at a source: sources: [{{model: …, layer_range: …}}]"
                )
            elif key == "layer_range" and key not in keys:
                raise InputError(f"{path}: layers are those of a slice's source: write slices")
            elif key not in keys:
                near = did_you_mean(str(key), keys) or f"; known are {', '.join(keys)}"
                raise InputError(f"{path}: unknown key{near}")
