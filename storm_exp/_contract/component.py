"""Components: keyword-only dataclasses. Fields are settings, parameters of `run` are ports."""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib.util
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, dataclass_transform

from storm_exp._contract.artifact import Artifact, Spec
from storm_exp._contract.bounds import Bounds, check_bounds, find_unfit_default
from storm_exp._contract.errors import PluginError, plugin_code
from storm_exp._contract.typed_json import type_hints

_ATTRIBUTE = "__storm_component__"


@dataclasses.dataclass(frozen=True)
class Port:
    """Input of a component: a parameter of its `run`."""

    name: str
    artifact: type[Artifact]
    many: bool
    """A port `list[X]` collects; a port `X` that is given a list maps."""
    optional: bool

    def __str__(self) -> str:
        """Return, for example, `models: list[Checkpoint]`; `?` marks an optional port."""
        kind = self.artifact.__name__
        return f"{self.name}{'?' * self.optional}: " + (f"list[{kind}]" if self.many else kind)


@dataclasses.dataclass(frozen=True)
class Component:
    """Description of a component class."""

    menus: tuple[str, ...]
    name: str
    version: int
    cls: type
    ports: dict[str, Port]
    output: type[Artifact]
    requires: tuple[str, ...] | None
    """Packages that it imports and cannot run without; None: those of its plugin."""
    extra: str
    """Extra of the plugin's distribution that installs them."""

    def __str__(self) -> str:
        """Return, for example, `slerp(models: list[Checkpoint]) → Checkpoint`."""
        return f"{self.name}({', '.join(map(str, self.ports.values()))}) → {self.output.__name__}"

    def missing_packages(self) -> list[str]:
        """Return the packages in `requires` that are not installed."""
        return [name for name in self.requires or () if not _is_installed(name)]


@functools.cache
def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def setting(
    default: Any,
    *,
    semantic: bool = True,
    neutral: Any = dataclasses.MISSING,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    one_of: tuple[Any, ...] = (),
    unit: str = "",
) -> Any:
    """Declare a field with metadata.

    `semantic=False` excludes a setting that cannot change the result from the key. `neutral`
    excludes the field from the key while it has that value, so that artifacts made before the
    option existed remain valid. A list or dict default is copied for each instance.

    A value outside the bounds (or a member of a list or dict) is refused when the component is
    instantiated, before its `__post_init__`. `unit` is what a number counts, in the plural.
    """
    metadata: dict[str, Any] = {"semantic": semantic}
    bounds = Bounds(at_least, at_most, above, below, one_of, unit)
    if bounds != Bounds():
        metadata["bounds"] = bounds
    if neutral is not dataclasses.MISSING:
        metadata["neutral"] = neutral
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    if isinstance(default, type) and dataclasses.is_dataclass(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(kw_only_default=True, field_specifiers=(dataclasses.field,))
def component(
    menu: str | tuple[str, ...],
    name: str,
    *,
    version: int,
    requires: tuple[str, ...] | None = None,
    extra: str = "",
) -> Callable[[type], type]:
    """Register a class as a component of `menu`, under a unique `name`.

    `version` is part of the key: raise it when the same settings give a different result.
    `requires` and `extra` are for a component that needs other packages than its plugin declares
    (hook `storm_requires`). Raises PluginError for fields or a `run` that are not allowed.
    """

    def decorate(cls: type) -> type:
        _check_bounds_when_built(cls)
        cls = dataclasses.dataclass(kw_only=True)(cls)
        _check_fields(cls)
        ports, output = _read_signature(cls)
        menus = (menu,) if isinstance(menu, str) else menu
        spec = Component(menus, name, version, cls, ports, output, requires, extra)
        setattr(cls, _ATTRIBUTE, spec)
        return cls

    return decorate


def plan_spec(settings: Any, inputs: Mapping[str, Spec | list[Spec]]) -> Spec:
    """Return the spec of what a component would make of inputs with these specs, by port.

    Raises what the component's `plan_spec` raises, and PluginError where it returns no spec.
    """
    component = describe(type(settings))
    kind = component.output.spec_type
    compute = getattr(settings, "plan_spec", None)
    if compute is None:
        return kind()
    wanted = inspect.signature(compute).parameters
    what = f"the component '{component.name}' (plan_spec)"
    with plugin_code(what):
        spec = compute(**{port: each for port, each in inputs.items() if port in wanted})
    if not isinstance(spec, kind):
        raise PluginError(f"{what} gave {spec!r:.100}, no {kind.__name__}")
    return spec


def describe(cls: type) -> Component:
    """Return the description that `@component` attached; raises PluginError for other classes."""
    spec = cls.__dict__.get(_ATTRIBUTE)
    if not isinstance(spec, Component):
        raise PluginError(f"{cls.__module__}.{cls.__qualname__} is not decorated with @component")
    return spec


def _check_bounds_when_built(cls: Any) -> None:
    own = getattr(cls, "__post_init__", None)

    def __post_init__(self: Any) -> None:
        check_bounds(self)
        if own is not None:
            own(self)

    cls.__post_init__ = __post_init__


def _check_fields(cls: type) -> None:
    """Raise PluginError for fields that OmegaConf cannot hold or a key cannot cover.

    Whether it holds the defaults is tried when the component is chosen, as that takes milliseconds.
    """
    where = f"{cls.__module__}.{cls.__qualname__}"
    for field in dataclasses.fields(cls):
        name, hint, default = field.name, type_hints(cls)[field.name], field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if not _is_setting(hint):
            raise PluginError(
                f"{where}.{name}: a setting is a scalar, an Enum, a "
                "list or dict (by str) of these, or a dataclass of settings that is not optional"
            )
        is_text = isinstance(default, str) and not default.startswith(("${", "???"))
        if is_text and hint in (int, float, bool):
            raise PluginError(f"{where}.{name}: the default {default!r} is no {hint.__name__}")
    if problem := find_unfit_default(cls):
        raise PluginError(f"{where}.{problem}")


def _is_setting(hint: Any) -> bool:
    arms = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return all(arm is types.NoneType or _is_scalar(arm) for arm in arms)
    if typing.get_origin(hint) is list:
        return _is_setting(arms[0])
    if typing.get_origin(hint) is dict:
        return arms[0] is str and _is_setting(arms[1])
    if dataclasses.is_dataclass(hint):
        return all(_is_setting(inner) for inner in type_hints(typing.cast(type, hint)).values())
    return hint is Any or _is_scalar(hint)


def _is_scalar(hint: Any) -> bool:
    return hint in (str, int, float, bool) or isinstance(hint, enum.EnumType)


def _read_signature(cls: type) -> tuple[dict[str, Port], type[Artifact]]:
    where = f"{cls.__module__}.{cls.__qualname__}.run"
    run = getattr(cls, "run", None)
    if run is None:
        raise PluginError(f"{where} is missing: a component has a `run(self, stage, …)`")
    hints = typing.get_type_hints(run)
    parameters = list(inspect.signature(run).parameters.values())[1:]
    if not parameters or parameters[0].name != "stage":
        raise PluginError(f"{where}: the first parameter after self must be `stage`")
    ports = {}
    for parameter in parameters[1:]:
        if parameter.name not in hints:
            raise PluginError(f"{where}: the port `{parameter.name}` has no annotation")
        ports[parameter.name] = _read_port(where, parameter, hints[parameter.name])
    output = hints.get("return")
    if not (isinstance(output, type) and issubclass(output, Artifact)):
        raise PluginError(f"{where}: the return annotation must be an artifact type")
    return ports, output


def _read_port(where: str, parameter: inspect.Parameter, hint: Any) -> Port:
    optional = parameter.default is not inspect.Parameter.empty
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        hint = next(arm for arm in typing.get_args(hint) if arm is not type(None))
    many = typing.get_origin(hint) is list
    artifact = typing.get_args(hint)[0] if many else hint
    if not (isinstance(artifact, type) and issubclass(artifact, Artifact)):
        raise PluginError(
            f"{where}: the port `{parameter.name}` must be X or list[X], X an artifact"
        )
    return Port(parameter.name, artifact, many, optional)
