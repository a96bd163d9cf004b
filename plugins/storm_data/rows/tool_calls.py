"""Tool calls and tools, in the formats that data sets use."""

from __future__ import annotations

import json
from typing import Any

from storm_data.rows.bad_row import BadRow
from storm_data.rows.fields import Fields, has_content
from storm_models.chat.literals import UnreadableLiteral, read_literal
from storm_models.chat.tool_calls import CALL_ARGUMENTS, CALL_NAMES

CALLS = "malformed call"
TOOLS = "malformed tools"


def read_calls(fields: Fields, value: Any, where: str) -> list[dict[str, Any]]:
    """Return calls as {id?, name, arguments}; raises BadRow.

    Supported are OpenAI's format (`{function: {name, arguments: JSON text}}`), plain {name,
    arguments}, Storm's {tool_name, tool_arguments}, one of these or a list, and text of any of
    these: JSON, or Python literals.
    """
    value = _parsed(value, CALLS, where)
    return [_call(fields, call, where) for call in (value if isinstance(value, list) else [value])]


def read_tools(value: Any) -> list[dict[str, Any]] | None:
    """Return tools in OpenAI's form, None where there are none; raises BadRow.

    A bare function ({name, description, parameters}) is wrapped; JSON text of a list, or a list of
    JSON texts, is accepted.
    """
    if not has_content(value):
        return None
    value = _parsed(value, TOOLS, "the row")
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise BadRow(TOOLS, "not a list of functions")
    return [_tool(tool) for tool in value] or None


def json_text(value: Any, reason: str) -> str:
    """Return JSON text without NaN and lone surrogates; raises BadRow with `reason`."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise BadRow(reason, f"not JSON: {error}"[:200]) from error
    return text


def _call(fields: Fields, value: Any, where: str) -> dict[str, Any]:
    value = _parsed(value, CALLS, where)
    if not isinstance(value, dict):
        raise BadRow(CALLS, f"a call in {where} is not an object")
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
        raise BadRow(CALLS, f"the arguments of {name} in {where} are not an object"[:200])
    for part in {outer, inner}:
        part.close()
    call = {"id": identifier} if isinstance(identifier, str) and identifier else {}
    return {**call, "name": name, "arguments": arguments or {}}


def _tool(value: Any) -> dict[str, Any]:
    value = _parsed(value, TOOLS, "the row")
    if isinstance(value, dict) and "function" not in value and isinstance(value.get("name"), str):
        value = {"type": "function", "function": value}
    function = value.get("function") if isinstance(value, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadRow(TOOLS, "a tool that is not a function with a name")
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
        raise BadRow(reason, f"not JSON in {where}: {problem}"[:200]) from problem
