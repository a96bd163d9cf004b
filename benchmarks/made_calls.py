"""Answers generated from a question's accepted calls: right ones, and wrong ones in twelve ways."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from storm_evaluation.function_calling.suite import Question
from storm_models.chat.tool_calls import ToolCall

Calls = list[ToolCall]
Arguments = dict[str, Any]


def answers(question: Question) -> Iterator[tuple[str, Calls]]:
    """Yield (how it was generated, answer); the first begins with `right` for right answers."""
    first = right(question, 0)
    yield "right: first values", first
    yield "right: last values", right(question, -1)
    yield "right: calls in reverse order", first[::-1]
    yield "right: other case and spaces", changed(first, _respelled)
    yield "right: without optional arguments", right(question, 0, least=True)
    yield "right: integers for floats", changed(first, _to_integer)
    for way, make in WRONG.items():
        wrong = make(question, copy.deepcopy(first))
        if wrong is not None:
            yield way, wrong


def right(question: Question, index: int, *, least: bool = False) -> Calls:
    """Return calls with the accepted value of this index for each argument.

    `least` omits the arguments that may be omitted.
    """
    calls = []
    for entry in question.accepted or []:
        ((name, values),) = entry.items()
        given = {
            argument: picked(options, index)
            for argument, options in values.items()
            if [o for o in options if o != ""] and not (least and "" in options)
        }
        calls.append(ToolCall(name, given))
    return calls


def picked(options: list[Any], index: int) -> Any:
    """Return one of the accepted values, in objects one for each key."""
    return _plain([option for option in options if option != ""][index], index)


def _plain(option: Any, index: int) -> Any:
    if isinstance(option, dict):
        return {
            key: picked(values, index) if isinstance(values, list) else values
            for key, values in option.items()
            if not isinstance(values, list) or [v for v in values if v != ""]
        }
    return [_plain(each, index) for each in option] if isinstance(option, list) else option


def changed(calls: Calls, change: Callable[[Any], Any]) -> Calls:
    """Return calls with every value changed."""
    return [ToolCall(c.name, {k: change(v) for k, v in c.arguments.items()}) for c in calls]


def _respelled(value: Any) -> Any:
    if isinstance(value, list):
        return [_respelled(each) for each in value]
    if isinstance(value, dict):
        return {key: _respelled(each) for key, each in value.items()}
    return f" {value.upper()}." if isinstance(value, str) else value


def _to_integer(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _other_type(value: Any) -> Any:
    if isinstance(value, str):
        return 7
    if isinstance(value, list | dict):
        return "seven"
    return str(value)


def _near_type(value: Any) -> Any:
    """Return a value of a related type: 1 for true, 3.0 for 3."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return float(value)
    if isinstance(value, list):
        return [_near_type(each) for each in value]
    return value


def _other_value(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str) or value is None:
        return f"{value}q"
    if isinstance(value, list):
        return [*value[:-1], _other_value(value[-1])] if value else ["q"]
    return {key: _other_value(each) for key, each in value.items()} or {"q": 1}


def _of_first(calls: Calls, change: Callable[[Arguments], Arguments | None]) -> Calls | None:
    for number, call in enumerate(calls):
        arguments = change(dict(call.arguments))
        if arguments is not None:
            return [*calls[:number], ToolCall(call.name, arguments), *calls[number + 1 :]]
    return None


def _name(_: Question, calls: Calls) -> Calls:
    return [ToolCall(f"{calls[0].name}_now", calls[0].arguments), *calls[1:]]


def _other_function(question: Question, calls: Calls) -> Calls | None:
    others = [f["name"] for f in question.functions if f["name"] != calls[0].name]
    return [ToolCall(others[0], calls[0].arguments), *calls[1:]] if others else None


def _type(_: Question, calls: Calls) -> Calls | None:
    return _first_changed(calls, _other_type)


def _first_changed(calls: Calls, change: Callable[[Any], Any]) -> Calls | None:
    return _of_first(calls, lambda a: {**a, (k := next(iter(a))): change(a[k])} if a else None)


def _near(_: Question, calls: Calls) -> Calls | None:
    return changed(calls, _near_type)


def _value(_: Question, calls: Calls) -> Calls | None:
    return _first_changed(calls, _other_value)


def _missing(_: Question, calls: Calls) -> Calls | None:
    return _of_first(calls, lambda a: dict(list(a.items())[1:]) if a else None)


def _extra(_: Question, calls: Calls) -> Calls | None:
    return _of_first(calls, lambda a: {**a, "further": 1})


def _renamed(_: Question, calls: Calls) -> Calls | None:
    return _of_first(calls, lambda a: {f"{k}_": v for k, v in a.items()} if a else None)


def _swapped(_: Question, calls: Calls) -> Calls | None:
    def swap(arguments: dict[str, Any]) -> dict[str, Any] | None:
        names = list(arguments)
        if len(names) < 2 or arguments[names[0]] == arguments[names[1]]:
            return None
        first, second = names[:2]
        return {**arguments, first: arguments[second], second: arguments[first]}

    return _of_first(calls, swap)


def _item_order(_: Question, calls: Calls) -> Calls | None:
    def turn(arguments: dict[str, Any]) -> dict[str, Any] | None:
        for name, value in arguments.items():
            if isinstance(value, list) and value != value[::-1]:
                return {**arguments, name: value[::-1]}
        return None

    return _of_first(calls, turn)


WRONG: dict[str, Callable[[Question, Calls], Calls | None]] = {
    "name of the function": _name,
    "another offered function": _other_function,
    "type of a value": _type,
    "nearly the type: 1 for true, 3.0 for 3": _near,
    "value": _value,
    "an argument missing": _missing,
    "a surplus argument": _extra,
    "names of the arguments": _renamed,
    "two values exchanged": _swapped,
    "order of a list": _item_order,
    "a call missing": lambda _, calls: calls[:-1],
    "a call twice": lambda _, calls: [*calls, calls[-1]],
}
"""{how a right answer is changed: function that returns None if it does not apply}"""
