"""Comparison of calls with the accepted ones of a question: names, arguments, types and values.

The rules are those of the Berkeley Function-Calling Leaderboard's comparison of syntax trees
(https://gorilla.cs.berkeley.edu, v4), implemented independently; docs/function-calling.md says
where the two differ, and how often.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from storm_models.chat.tool_calls import ToolCall

Function = dict[str, Any]
"""{name, description, parameters: {properties: {NAME: {type, items, …}}, required: […]}}."""
Accepted = dict[str, dict[str, list[Any]]]
"""{NAME: {ARGUMENT: accepted values}} of one call; the value "" means that it may be omitted."""

COUNT, NAME, MISSING, UNEXPECTED, TYPE, VALUE = (
    "number of calls",
    "name",
    "missing argument",
    "unexpected argument",
    "type",
    "value",
)
"""Mistakes, in the order in which they are looked for."""

_TYPES: dict[str, type] = {
    "string": str,
    "integer": int,
    "float": float,
    "number": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "object": dict,
    "any": str,
}
_ORDER = (NAME, MISSING, UNEXPECTED, TYPE, VALUE)
_OMITTED = ""
_INSIGNIFICANT = re.compile(r"[ ,./\-_*^]")


def mistake(
    calls: Sequence[ToolCall], functions: Sequence[Function], accepted: Sequence[Accepted]
) -> str:
    """Return the mistake in an answer's calls, empty if they are right; their order is irrelevant.

    Each call must match a different entry. With several calls the mistake is that of the call
    nearest to the first entry without a match.
    """
    if len(calls) != len(accepted):
        return COUNT
    known = {function["name"]: function for function in functions}
    mistakes = [[_mistake(call, known, entry) for call in calls] for entry in accepted]
    unmatched = _unmatched([[not problem for problem in row] for row in mistakes])
    if not unmatched:
        return ""
    # If all calls that match the entry belong to other entries, there is one too many of its kind.
    problems = [problem for problem in mistakes[unmatched[0]] if problem]
    return max(problems, key=_ORDER.index, default=COUNT)


def _unmatched(fits: list[list[bool]]) -> list[int]:
    """Return the entries without a call in a maximum matching."""
    taken: dict[int, int] = {}

    def assign(entry: int, seen: set[int]) -> bool:
        for call, fit in enumerate(fits[entry]):
            if fit and call not in seen:
                seen.add(call)
                if call not in taken or assign(taken[call], seen):
                    taken[call] = entry
                    return True
        return False

    return [entry for entry in range(len(fits)) if not assign(entry, set())]


def _mistake(call: ToolCall, known: dict[str, Function], entry: Accepted) -> str:
    """Return the mistake in one call, empty if it is right."""
    ((name, values),) = entry.items()
    function = known.get(name)
    if function is None or call.name != name:
        return NAME
    parameters = function["parameters"]
    properties: dict[str, Any] = parameters.get("properties", {})
    if any(required not in call.arguments for required in parameters.get("required", [])):
        return MISSING
    for argument, value in call.arguments.items():
        if argument not in properties or argument not in values:
            return UNEXPECTED
        if not _has_type(value, properties[argument], values[argument]):
            return TYPE
        if not any(_equal(value, accepted) for accepted in values[argument]):
            return VALUE
    omitted = values.keys() - call.arguments.keys()
    return MISSING if any(_OMITTED not in values[argument] for argument in omitted) else ""


def _has_type(value: Any, declared: dict[str, Any], values: list[Any]) -> bool:
    """Return whether a value has the declared type or that of an accepted value.

    The latter allows the name of a variable instead of a number. An integer is accepted as a float,
    but not in a list, whose items are compared one by one.
    """
    kind = _TYPES.get(str(declared.get("type")), str)
    accepted = [each for each in values if each != _OMITTED]
    if type(value) is int and kind is float:
        return True
    declared_type = type(value) is kind
    if not declared_type:
        return _same_type(value, accepted[:1])
    inner = declared.get("items")
    if kind is not list or not isinstance(inner, dict):
        return True
    item = _TYPES.get(str(inner.get("type")), str)
    lists = [each for each in accepted if isinstance(each, list)]
    return any(all(type(e) is item or _same_type(e, each[:1]) for e in value) for each in lists)


def _same_type(value: Any, others: list[Any]) -> bool:
    return any(type(value) is type(other) for other in others)


def _equal(value: Any, accepted: Any) -> bool:
    """Return whether a value equals an accepted one, ignoring case, spaces and punctuation.

    An accepted object lists the values of each key; "" among them: the key may be omitted.
    """
    if isinstance(accepted, str) or isinstance(value, str):
        both = isinstance(value, str) and isinstance(accepted, str)
        return both and _normalised(value) == _normalised(accepted)
    if isinstance(value, list) and isinstance(accepted, list):
        return len(value) == len(accepted) and all(map(_equal, value, accepted))
    if isinstance(value, dict) and isinstance(accepted, dict):
        if not all(isinstance(values, list) for values in accepted.values()):
            same = value.keys() == accepted.keys()
            return same and all(_equal(value[key], accepted[key]) for key in value)
        return all(
            key in accepted and any(_equal(value[key], each) for each in accepted[key])
            for key in value
        ) and all(key in value or _OMITTED in accepted[key] for key in accepted)
    if isinstance(value, bool) or isinstance(accepted, bool):
        return value is accepted
    return bool(value == accepted)


def _normalised(text: str) -> str:
    return _INSIGNIFICANT.sub("", text).lower().replace("'", '"')
