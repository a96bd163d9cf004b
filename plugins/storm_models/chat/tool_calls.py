"""Writing and parsing of tool calls in Llama-3.1-Storm's format.

https://huggingface.co/akjindal53244/Llama-3.1-Storm-8B: `<tool_call>{"tool_name": …,
"tool_arguments": {…}}</tool_call>`. The card asks for JSON, but its answers are Python literals.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from enum import Enum
from typing import Any

from storm_models.chat.literals import LONGEST, UnreadableLiteral, read_literal

OPEN, CLOSE = "<tool_call>", "</tool_call>"
NO_CALL = "[]"
"""Storm's answer if no tool is suitable or a required argument is missing."""

MOST = 128
"""Maximum number of calls in an answer."""

CALL_NAMES = ("tool_name", "name")
CALL_ARGUMENTS = ("tool_arguments", "arguments", "parameters")
"""Accepted keys of a call for the name and the arguments."""


class CallSpelling(Enum):
    """How a call is written between its tags."""

    json = "json"
    """`{"tool_name": "find", "tool_arguments": {"new": true}}`: as the card demands."""
    python = "python"
    """`{'tool_name': 'find', 'tool_arguments': {'new': True}}`: as in the card's examples."""
    json_name = "json_name"
    """JSON with `name` and `arguments`, as in Hermes and Qwen."""
    python_name = "python_name"
    """Python literals with `name` and `arguments`."""

    @property
    def names(self) -> tuple[str, str]:
        """Return the keys for the name and the arguments."""
        short = self in (CallSpelling.json_name, CallSpelling.python_name)
        return ("name", "arguments") if short else ("tool_name", "tool_arguments")

    def write(self, value: Any) -> str:
        """Return a value as text; a tag in one of its strings is escaped."""
        python = self in (CallSpelling.python, CallSpelling.python_name)
        text = repr(value) if python else json.dumps(value, ensure_ascii=False)
        for tag in (OPEN, CLOSE):
            text = text.replace(tag, tag.replace("<", "\\u003c"))
        return text


@dataclasses.dataclass(frozen=True)
class ToolCall:
    """The name of a called tool, and its arguments."""

    name: str
    arguments: dict[str, Any]

    def text(self, spelling: CallSpelling = CallSpelling.json) -> str:
        """Return the call between its tags."""
        name, arguments = spelling.names
        return f"{OPEN}{spelling.write({name: self.name, arguments: self.arguments})}{CLOSE}"


class MalformedCall(ValueError):
    """A tagged text is not a valid call; the message has the reason."""


@dataclasses.dataclass(frozen=True)
class ParsedAnswer:
    """The text of an answer without its calls, and the calls."""

    text: str
    calls: list[ToolCall]


def parse_answer(text: str, *, bare: bool = False) -> ParsedAnswer:
    """Return the text and the calls of an answer, in any spelling; raises MalformedCall.

    A pair of tags encloses a call or a list of calls; the last closing tag may be missing, since
    engines may stop there. An answer `[]` has neither calls nor text. With `bare`, an answer
    without tags that consists of calls is parsed too.
    """
    if len(text) > LONGEST:
        raise MalformedCall(f"{len(text)} characters, more than {LONGEST}")
    if bare and OPEN not in text:
        with contextlib.suppress(MalformedCall):
            return ParsedAnswer("", _calls(text))
    before, *rest = text.split(OPEN)
    pieces, calls = [before], []
    for part in rest:
        body, _, after = part.partition(CLOSE)
        calls += _calls(body)
        pieces.append(after)
        if len(calls) > MOST:
            raise MalformedCall(f"more than {MOST} calls")
    plain = "".join(pieces).strip()
    return ParsedAnswer("" if plain == NO_CALL else plain, calls)


def _calls(body: str) -> list[ToolCall]:
    try:
        value = read_literal(body)
    except UnreadableLiteral as error:
        raise MalformedCall(f"a call cannot be parsed: {error}") from error
    return [_call(each) for each in (value if isinstance(value, list) else [value])]


def _call(value: Any) -> ToolCall:
    if not isinstance(value, dict):
        raise MalformedCall("a call is not an object")
    name = next((value[key] for key in CALL_NAMES if key in value), None)
    arguments: Any = next((value[key] for key in CALL_ARGUMENTS if key in value), {})
    if not isinstance(name, str) or not name:
        raise MalformedCall("a call has no name")
    if not isinstance(arguments, dict):
        raise MalformedCall(f"the arguments of {name[:40]} are not an object")
    return ToolCall(name, arguments)
