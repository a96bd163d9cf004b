"""Parameters of a mergekit YAML: values, gradients over the layers, values for parts of a model."""

from __future__ import annotations

import math
from typing import Any

from storm_exp import InputError, did_you_mean
from storm_merging.kernels.gradient import interpolate
from storm_merging.mergefile.method_table import PARAMETERS, Method, Parameter

Setting = Any
"""A value, a list of values over the layers, or a list of {filter, value}."""
_KEYS = ("filter", "value")


def check_parameters(
    parameters: dict[str, Setting], method: Method, where: str, *, own: bool
) -> tuple[dict[str, Setting], list[str]]:
    """Return parameters with values of their kinds, and a notice for each without effect.

    `own` says that they stand at a model. Raises InputError, which begins with `where`, for a
    parameter of no method, and for a value that is not of its kind.
    """
    checked: dict[str, Setting] = {}
    notices = []
    for name, setting in parameters.items():
        path = f"{where}.{name}"
        if name in method.parameters:
            parameter = method.parameters[name]
            if own and not parameter.each:
                notices.append(f"{path} is one for the whole merge, and without effect at a model")
                continue
            checked[name] = _check(setting, parameter, path)
        elif name in PARAMETERS:
            notices.append(f"{path} is no parameter of the method, and without effect")
        else:
            raise InputError(
                f"{path}: no parameter of any method{did_you_mean(str(name), PARAMETERS)}"
            )
    return checked, notices


def _check(setting: Setting, parameter: Parameter, path: str) -> Setting:
    if isinstance(setting, dict):
        setting = [setting]
    if isinstance(setting, list):
        if not setting:
            raise InputError(f"{path}: an empty list has no value")
        if any(isinstance(each, dict) for each in setting):
            return [
                _check_condition(each, parameter, f"{path}[{i}]") for i, each in enumerate(setting)
            ]
        return [_check_value(each, parameter, f"{path}[{i}]") for i, each in enumerate(setting)]
    return _check_value(setting, parameter, path)


def _check_condition(value: Any, parameter: Parameter, path: str) -> dict[str, Setting]:
    if not isinstance(value, dict):
        raise InputError(f"{path}: {value!r} stands among values with a filter: write {{value: …}}")
    for key in value:
        if key not in _KEYS:
            raise InputError(
                f"{path}.{key}: neither filter nor value{did_you_mean(str(key), _KEYS)}"
            )
    if "value" not in value:
        raise InputError(f"{path}: has no value")
    chosen = value.get("filter")
    if chosen is not None and (not isinstance(chosen, str) or not chosen):
        raise InputError(f"{path}.filter: {chosen!r} is no part of a tensor's name")
    inner = value["value"]
    if isinstance(inner, dict) or (
        isinstance(inner, list) and any(isinstance(each, dict) for each in inner)
    ):
        raise InputError(f"{path}.value: holds filters of its own, which cannot be nested")
    return {"filter": chosen, "value": _check(inner, parameter, f"{path}.value")}


def _check_value(value: Any, parameter: Parameter, path: str) -> float | int | bool:
    kind = parameter.kind
    if kind is bool:
        if value not in (False, True):  # 0 and 1 as well
            raise InputError(f"{path}={value!r}: must be true or false")
        return bool(value)
    if isinstance(value, str):  # 1e-3 is text in YAML 1.1
        try:
            value = float(value)
        except ValueError as error:
            raise InputError(f"{path}={value!r}: must be a number") from error
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{path}={value!r}: must be a number")
    if kind is int and value != int(value):
        raise InputError(f"{path}={value!r}: must be a whole number")
    low, high = parameter.at_least, parameter.at_most
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        raise InputError(f"{path}={value!r}: must be {bounds}")
    return kind(value)  # type: ignore[no-any-return]


def evaluate(setting: Setting, name: str, position: float) -> Any:
    """Return the value for the tensor `name`, None where no filter is part of its name.

    `position` says where its layer lies: 0 the first, 1 the last.
    """
    if not isinstance(setting, list):
        return setting
    if setting and isinstance(setting[0], dict):
        for condition in setting:
            if condition["filter"] in (None, "*") or condition["filter"] in name:
                return evaluate(condition["value"], name, position)
        return None
    if isinstance(setting[0], bool):
        return setting[int(position * (len(setting) - 1))]
    return interpolate(setting, position)


def filters(parameters: dict[str, Setting]) -> list[tuple[str, str]]:
    """Return (parameter, filter) for every filter that names a part of a model."""
    return [
        (name, condition["filter"])
        for name, setting in parameters.items()
        if isinstance(setting, list)
        for condition in setting
        if isinstance(condition, dict) and condition["filter"] not in (None, "*")
    ]
