"""Calls of tools, and the tools that may be called, as rows of many makers write them."""

from __future__ import annotations

import json
from typing import Any

from storm_data.rows.bad_row import BadRow
from storm_data.rows.fields import Fields, says_something
from storm_models.chat.literals import UnreadableLiteral, read_literal
from storm_models.chat.tool_calls import CALL_ARGUMENTS, CALL_NAMES

CALLS = "malformed call"
TOOLS = "malformed tools"


def read_calls(fields: Fields, value: Any, where: str) -> list[dict[str, Any]]:
    """Return calls as {id?, name, arguments}; raises BadRow.

    Read are OpenAI's (`{function: {name, arguments: JSON text}}`), plain {name, arguments}, Storm's
    {tool_name, tool_arguments}, one or a list of them, and text of any of these: JSON, or Python
    literals.
    """
    value = _parsed(value, CALLS, where)
    return [_call(fields, call, where) for call in (value if isinstance(value, list) else [value])]


def read_tools(value: Any) -> list[dict[str, Any]] | None:
    """Return tools in OpenAI's form, None where there are none; raises BadRow.

    A function without its envelope ({name, description, parameters}) gets one; JSON text of a
    list, or a list of JSON texts, is read.
    """
    if not says_something(value):
        return None
    value = _parsed(value, TOOLS, "the row")
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise BadRow(TOOLS, "no list of functions")
    return [_tool(tool) for tool in value] or None


def text_of(value: Any, reason: str) -> str:
    """Return JSON text without NaN and lone surrogates; raises BadRow with `reason`."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise BadRow(reason, f"no JSON: {error}"[:200]) from error
    return text


def _call(fields: Fields, value: Any, where: str) -> dict[str, Any]:
    value = _parsed(value, CALLS, where)
    if not isinstance(value, dict):
        raise BadRow(CALLS, f"a call in {where} is no object")
    outer = fields.inner(value, "tool_call.")
    if outer.get("type") not in (None, "function"):
        raise BadRow(CALLS, f"a call of the type {value['type']!r} in {where}"[:200])
    outer.get("index")
    identifier, inner = outer.get("id"), outer
    if isinstance(function := outer.get("function"), dict):
        inner = outer.inner(function, "tool_call.function.")
    name, arguments = inner.get(*CALL_NAMES), inner.get(*CALL_ARGUMENTS)
    if isinstance(arguments, str):
        arguments = _parsed(arguments, CALLS, where) if arguments.strip() else {}
    if not isinstance(name, str) or not name:
        raise BadRow(CALLS, f"a call without a name in {where}")
    if not isinstance(arguments, dict | None):
        raise BadRow(CALLS, f"the arguments of {name} in {where} are no object"[:200])
    for fields_ in {outer, inner}:
        fields_.close()
    call = {"id": identifier} if isinstance(identifier, str) and identifier else {}
    return {**call, "name": name, "arguments": arguments or {}}


def _tool(value: Any) -> dict[str, Any]:
    value = _parsed(value, TOOLS, "the row")
    if isinstance(value, dict) and "function" not in value and isinstance(value.get("name"), str):
        value = {"type": "function", "function": value}
    function = value.get("function") if isinstance(value, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadRow(TOOLS, "a tool that is no function with a name")
    return {**value, "type": "function"}


def _parsed(value: Any, reason: str, where: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        problem = error
    try:
        return read_literal(value)
    except UnreadableLiteral:
        raise BadRow(reason, f"no JSON in {where}: {problem}"[:200]) from problem
