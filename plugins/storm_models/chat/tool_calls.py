"""Calls of tools as text, in the form that Llama-3.1-Storm answers in: written, and read.

https://huggingface.co/akjindal53244/Llama-3.1-Storm-8B: `<tool_call>{"tool_name": …,
"tool_arguments": {…}}</tool_call>`. The card asks for JSON, and its answers are Python literals.
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
"""What Storm answers where no tool fits, or a required argument is missing."""

MOST = 128
"""Calls of one answer."""

CALL_NAMES = ("tool_name", "name")
CALL_ARGUMENTS = ("tool_arguments", "arguments", "parameters")
"""What the name of a call, and its arguments, are called."""


class CallSpelling(Enum):
    """How a call is spelled between its tags."""

    json = "json"
    """`{"tool_name": "find", "tool_arguments": {"new": true}}`: what the card asks for."""
    python = "python"
    """`{'tool_name': 'find', 'tool_arguments': {'new': True}}`: what its examples answer."""
    json_name = "json_name"
    """JSON with `name` and `arguments`, as Hermes and Qwen have it."""
    python_name = "python_name"
    """Python literals with `name` and `arguments`."""

    @property
    def names(self) -> tuple[str, str]:
        """Return what the name of a call and its arguments are called."""
        short = self in (CallSpelling.json_name, CallSpelling.python_name)
        return ("name", "arguments") if short else ("tool_name", "tool_arguments")

    def write(self, value: Any) -> str:
        """Return a value as text."""
        python = self in (CallSpelling.python, CallSpelling.python_name)
        return repr(value) if python else json.dumps(value, ensure_ascii=False)


@dataclasses.dataclass(frozen=True)
class ToolCall:
    """A tool that is called, and what it is given."""

    name: str
    arguments: dict[str, Any]

    def text(self, spelling: CallSpelling = CallSpelling.json) -> str:
        """Return the call between its tags."""
        name, arguments = spelling.names
        return f"{OPEN}{spelling.write({name: self.name, arguments: self.arguments})}{CLOSE}"


class MalformedCall(ValueError):
    """Something that begins as a call and is none, with the reason."""


@dataclasses.dataclass(frozen=True)
class Said:
    """What an answer says in words, and which tools it calls."""

    words: str
    calls: list[ToolCall]


def read_said(text: str, *, bare: bool = False) -> Said:
    """Return the words and calls of an answer, in any spelling; raises MalformedCall.

    Between a pair of tags stands one call, or a list of them; the last pair may lack its end, as
    where an engine stops there. An answer that is `[]` calls nothing and says nothing else. With
    `bare`, an answer without tags that is calls and nothing else is read as such.
    """
    if len(text) > LONGEST:
        raise MalformedCall(f"{len(text)} characters, more than {LONGEST}")
    if bare and OPEN not in text:
        with contextlib.suppress(MalformedCall):
            return Said("", _calls(text))
    before, *rest = text.split(OPEN)
    words, calls = [before], []
    for piece in rest:
        body, _, after = piece.partition(CLOSE)
        calls += _calls(body)
        words.append(after)
        if len(calls) > MOST:
            raise MalformedCall(f"more than {MOST} calls")
    said = "".join(words).strip()
    return Said("" if said == NO_CALL else said, calls)


def _calls(body: str) -> list[ToolCall]:
    try:
        value = read_literal(body)
    except UnreadableLiteral as error:
        raise MalformedCall(f"a call that cannot be read: {error}") from error
    return [_call(each) for each in (value if isinstance(value, list) else [value])]


def _call(value: Any) -> ToolCall:
    if not isinstance(value, dict):
        raise MalformedCall("a call that is no object")
    name = next((value[key] for key in CALL_NAMES if key in value), None)
    arguments: Any = next((value[key] for key in CALL_ARGUMENTS if key in value), {})
    if not isinstance(name, str) or not name:
        raise MalformedCall("a call without a name")
    if not isinstance(arguments, dict):
        raise MalformedCall(f"the arguments of {name[:40]} are no object")
    return ToolCall(name, arguments)
