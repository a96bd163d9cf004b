"""What every component owes, checked on one, with settings and inputs that work."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from storm_exp._contract.artifact import Artifact, Spec
from storm_exp._contract.component import Component, describe
from storm_exp._contract.digest import file_digest
from storm_exp._contract.errors import PluginError, SettingError, StormError, did_you_mean
from storm_exp._run.executor import check_output
from storm_exp.testing.elsewhere import plan_elsewhere
from storm_exp.testing.odd_values import odd_values, setting_types, undocumented, with_value
from storm_exp.testing.stage import given_ports, make_stage, plan_component, specs_of

HEAVY = (
    *("torch", "transformers", "tokenizers", "safetensors", "datasets", "lightning"),
    *("numpy", "scipy", "pandas", "pyarrow", "sklearn", "jax", "tensorflow"),
)
"""Packages that take long to import."""


def check_component(
    settings: Any,
    folder: Path,
    *inputs: Any,
    heavy: Sequence[str] = HEAVY,
    fresh: bool = True,
    **ports: Any,
) -> Artifact:
    """Check that a component keeps its contract; return what it made, which lies below `folder`.

    `settings` is an instance of it that works with the inputs: artifacts, by the order of its ports
    or by their names. It is checked that

    - class and settings have docstrings, and a port takes one type of artifact;
    - each setting, given odd values, takes them, or refuses them by a StormError that names it;
    - what it makes is what its `plan_spec` said;
    - planning it imports nothing of `heavy`: an interpreter of its own does so;
    - the same settings and inputs make the same files again, in that interpreter, where sets have
      another order. Without `fresh` it is this one, which need not import anything anew.

    Raises AssertionError, which says what is wrong and what would be right.
    """
    try:
        component = describe(type(settings))
    except PluginError as error:
        raise AssertionError(f"{error}: give an instance of a component") from error
    given = given_ports(settings, inputs, ports)
    check_class(component)
    _check_inputs(component, given)
    _check_settings(settings)
    _check_refusals(settings, specs_of(given), folder)
    name = component.cls.__name__
    first, second = make_stage(folder, "first"), make_stage(folder, "second")
    planned = plan_component(settings, specs_of(given), folder)
    made = settings.run(first, **given)
    try:
        check_output(component, made, first)
    except TypeError as error:
        raise AssertionError(f"{name}: {error}") from error
    _check_spec(name, planned, made.spec())
    outcome = plan_elsewhere(settings, given, folder, heavy, second.name if fresh else "")
    assert not outcome.error, (
        f"{name}, in an interpreter of its own: {outcome.error}. A component stands in a module "
        "that can be imported, and needs nothing that its module, settings and inputs do not say"
    )
    assert not outcome.imported, (
        f"{name}: planning it imports {outcome.imported}. Every command line plans, so import it "
        "inside `run`, or in a module that `run` imports"
    )
    if not fresh:
        settings.run(second, **given)
    if first.adopted is None:  # else the files lie where they lay
        _check_same(name, first.directory, second.directory)
    assert isinstance(made, Artifact)
    return made


def check_class(component: Component) -> None:
    """Raise AssertionError for a class, a setting or a port that does not say what it is."""
    cls = component.cls
    name = cls.__name__
    # A dataclass without a docstring is given its signature for one.
    assert cls.__doc__ and not cls.__doc__.startswith(f"{name}("), (
        f"{name} has no docstring: write below `class {name}:` what it makes of what"
    )
    silent = list(undocumented(cls))
    assert not silent, (
        f"{name}: nobody says what these settings are: {', '.join(silent)}. Write a docstring "
        "under each field; `storm-exp show` shows it"
    )
    try:
        OmegaConf.structured(cls)
    except OmegaConfBaseException as error:
        raise AssertionError(f"{name}: {str(error).splitlines()[0]}") from error
    for port in component.ports.values():
        assert port.artifact is not Artifact, (
            f"{name}: the port `{port.name}` takes any artifact. Annotate it with the type that "
            "`run` reads, so that a recipe which connects another is refused"
        )
    plan = inspect.signature(getattr(cls, "plan_spec", lambda self: None)).parameters
    named = {
        p.name
        for p in plan.values()
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD and p.name != "self"
    }
    needed = {port.name for port in component.ports.values() if not port.optional}
    assert named <= needed, (
        f"{name}.plan_spec asks for {', '.join(sorted(named - needed))}, and a plan may have none: "
        "its parameters are named after the ports of `run`, with a default for one that is optional"
    )


def _check_inputs(component: Component, given: dict[str, Any]) -> None:
    name = component.cls.__name__
    needed = {port.name for port in component.ports.values() if not port.optional}
    missing = sorted(needed - given.keys())
    assert not missing, f"{name} has the ports {', '.join(missing)}: give an artifact for each"
    for port in given:
        near = did_you_mean(port, component.ports)
        assert port in component.ports, f"{name} has no port '{port}'{near}"


def _check_settings(settings: Any) -> None:
    for setting, _ in setting_types(type(settings)):
        value: Any = settings
        for part in setting.split("."):
            value = getattr(value, part)
        assert not str(value).startswith(("${", "???")), (
            f"{type(settings).__name__}.{setting} is {value!r}, which a configuration resolves: "
            f"give a value, {type(settings).__name__}({setting}=…)"
        )


def _check_refusals(settings: Any, specs: dict[str, Any], folder: Path) -> None:
    """Give every setting odd values; a plan is to take them or to say what is wrong."""
    cls = type(settings)
    names = {part for name, _ in setting_types(cls) for part in (name, *name.split("."))}
    for setting, hint in setting_types(cls):
        for value in odd_values(hint):
            given = f"{cls.__name__} with {setting}={value!r}"
            right = f"raise SettingError({setting!r}, value, 'what would be right')"
            try:
                plan_component(with_value(settings, setting, value), specs, folder)
            except PluginError as error:
                raise AssertionError(
                    f"{given}: {error}. Where that cannot work, {right}"
                ) from error
            except SettingError as error:
                assert error.setting.split(".")[0] in names, (
                    f"{given} is refused by a SettingError on {error.setting!r}, which is no "
                    f"setting of it: {right}"
                )
            except StormError as error:
                said = {*re.findall(r"\w+", str(error)), *error.settings}
                assert said & names, (
                    f"{given} is refused by '{error}', which names no setting: {right}"
                )
            except Exception as error:
                raise AssertionError(
                    f"{given} ends in {type(error).__name__}: {error}. Bound the setting "
                    f"(setting(…, at_least=…)), or {right}"
                ) from error


def _check_spec(name: str, planned: Spec, made: Spec) -> None:
    wrong = planned.contradictions(made)
    assert not wrong, (
        f"{name}.plan_spec does not agree with what `run` made: {'; '.join(wrong)}. Say what will "
        "be made, and leave unknown (None) what nobody can know before"
    )


def _check_same(name: str, first: Path, second: Path) -> None:
    one, other = (
        {str(f.relative_to(d)): file_digest(f) for f in d.rglob("*") if f.is_file()}
        for d in (first, second)
    )
    differ = sorted(file for file in one.keys() | other.keys() if one.get(file) != other.get(file))
    assert not differ, (
        f"{name} made other files of the same settings and inputs when it ran again: "
        f"{', '.join(differ[:5])}{', …' if len(differ) > 5 else ''}. What is random follows from a "
        "setting `seed`, what comes from a set is sorted, and dates, durations, names of hosts and "
        "absolute paths stay out"
    )
