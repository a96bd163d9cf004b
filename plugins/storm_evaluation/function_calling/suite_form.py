"""The form of a suite's questions and of the calls that it accepts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def check_question(messages: Any, functions: Any) -> None:
    """Raise TypeError or ValueError for messages or functions of another form."""
    if not isinstance(messages, list) or not messages:
        raise TypeError("the first entry of 'question' should be a list of messages")
    for message in messages:
        if not isinstance(message["role"], str) or not isinstance(message["content"], str):
            raise TypeError("the role or content of a message is not a string")
    if not isinstance(functions, list):
        raise TypeError("'function' should be a list of functions")
    for function in functions:
        if not isinstance(function["name"], str) or not isinstance(function["parameters"], dict):
            raise TypeError("a function without a name or parameters")
        _check_parameters(function["name"], function["parameters"])


def _check_parameters(name: str, parameters: dict[str, Any]) -> None:
    properties, required = parameters.get("properties", {}), parameters.get("required", [])
    if not isinstance(properties, dict) or not all(map(_is_object, properties.values())):
        raise TypeError(f"the properties of {name!r} should be {{NAME: {{type, …}}}}")
    if not isinstance(required, list):
        raise TypeError(f"the required arguments of {name!r} should be a list")


def check_accepted(entries: Any, functions: Collection[str]) -> None:
    """Raise TypeError or ValueError for accepted calls of another form, or of other functions."""
    if not isinstance(entries, list):
        raise TypeError("'ground_truth' should be a list of calls")
    for entry in entries:
        if not isinstance(entry, dict) or len(entry) != 1:
            raise TypeError(f"an accepted call should be {{NAME: {{…}}}}, not {entry!s:.80}")
        ((name, values),) = entry.items()
        if name not in functions:
            raise ValueError(f"{name!r} is accepted, and not one of its functions")
        lists = values.values() if isinstance(values, dict) else [None]
        if not all(isinstance(each, list) for each in lists):
            raise TypeError(f"the accepted values of {name!r} should be {{ARGUMENT: [values]}}")


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
