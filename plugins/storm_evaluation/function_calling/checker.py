"""Whether calls are those that a question asks for: names, arguments, types and values.

The rules are those of the Berkeley Function-Calling Leaderboard's comparison of syntax trees
(https://gorilla.cs.berkeley.edu, v4), in our own words; docs/function-calling.md says where the two
differ, and how often.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from storm_models.chat.tool_calls import ToolCall

Function = dict[str, Any]
"""{name, description, parameters: {properties: {NAME: {type, items, …}}, required: […]}}."""
Accepted = dict[str, dict[str, list[Any]]]
"""{NAME: {ARGUMENT: values that are right}}, of one call. "" among the values: may be left out."""

COUNT, NAME, MISSING, UNEXPECTED, TYPE, VALUE = (
    "number of calls",
    "name",
    "missing argument",
    "unexpected argument",
    "type",
    "value",
)
"""What is wrong with a call, in the order in which it is looked for."""

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
_LEFT_OUT = ""
_INSIGNIFICANT = re.compile(r"[ ,./\-_*^]")


def mistake(
    calls: Sequence[ToolCall], functions: Sequence[Function], accepted: Sequence[Accepted]
) -> str:
    """Return what is wrong with an answer's calls, empty where they are right, in any order.

    Each call must be accepted by an entry of its own. With several calls, what is wrong is said of
    the first entry that none fits: of the call that comes nearest.
    """
    if len(calls) != len(accepted):
        return COUNT
    known = {function["name"]: function for function in functions}
    found = [[_mistake(call, known, entry) for call in calls] for entry in accepted]
    unmatched = _unmatched([[not problem for problem in row] for row in found])
    if not unmatched:
        return ""
    # Where every call that fits is taken by another entry, there is one too many of its kind.
    problems = [problem for problem in found[unmatched[0]] if problem]
    return max(problems, key=_ORDER.index, default=COUNT)


def _unmatched(fits: list[list[bool]]) -> list[int]:
    """Return the entries that find no call of their own, in a largest matching."""
    taken: dict[int, int] = {}

    def place(entry: int, seen: set[int]) -> bool:
        for call, fit in enumerate(fits[entry]):
            if fit and call not in seen:
                seen.add(call)
                if call not in taken or place(taken[call], seen):
                    taken[call] = entry
                    return True
        return False

    return [entry for entry in range(len(fits)) if not place(entry, set())]


def _mistake(call: ToolCall, known: dict[str, Function], entry: Accepted) -> str:
    """Return what is wrong with one call, empty where it is right."""
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
        if not any(_equal(value, right) for right in values[argument]):
            return VALUE
    left_out = values.keys() - call.arguments.keys()
    return MISSING if any(_LEFT_OUT not in values[argument] for argument in left_out) else ""


def _has_type(value: Any, declared: dict[str, Any], values: list[Any]) -> bool:
    """Return whether a value has the declared type, or that of a value which is right.

    The latter is how a variable's name stands for a number. An integer is a float; in a list it is
    none, as lists are compared item by item.
    """
    kind = _TYPES.get(str(declared.get("type")), str)
    rights = [right for right in values if right != _LEFT_OUT]
    if type(value) is int and kind is float:
        return True
    declared_one = type(value) is kind
    if not declared_one:
        return _alike(value, rights[:1])
    inner = declared.get("items")
    if kind is not list or not isinstance(inner, dict):
        return True
    item = _TYPES.get(str(inner.get("type")), str)
    lists = [right for right in rights if isinstance(right, list)]
    return any(all(type(e) is item or _alike(e, right[:1]) for e in value) for right in lists)


def _alike(value: Any, others: list[Any]) -> bool:
    return any(type(value) is type(other) for other in others)


def _equal(value: Any, right: Any) -> bool:
    """Return whether a value is one that is right, but for case, spaces and punctuation.

    An object that is right names the values of each key; "" among them: the key may be left out.
    """
    if isinstance(right, str) or isinstance(value, str):
        return isinstance(value, str) and isinstance(right, str) and _plain(value) == _plain(right)
    if isinstance(value, list) and isinstance(right, list):
        return len(value) == len(right) and all(map(_equal, value, right))
    if isinstance(value, dict) and isinstance(right, dict):
        if not all(isinstance(values, list) for values in right.values()):
            return value.keys() == right.keys() and all(_equal(value[k], right[k]) for k in value)
        return all(
            key in right and any(_equal(value[key], each) for each in right[key]) for key in value
        ) and all(key in value or _LEFT_OUT in right[key] for key in right)
    if isinstance(value, bool) or isinstance(right, bool):
        return value is right
    return bool(value == right)


def _plain(text: str) -> str:
    return _INSIGNIFICANT.sub("", text).lower().replace("'", '"')
