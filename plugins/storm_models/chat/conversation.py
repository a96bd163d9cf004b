"""A conversation as models see it and as a row stores it: messages, tool calls and tools."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from storm_exp import InputError

Message = dict[str, Any]
"""A message in the format of chat templates: `role`, `content`, and optionally `tool_calls`
(`{type: function, function: {name, arguments}}`, optionally with an `id`), `name` and
`tool_call_id`."""

WHOLE = "messages"
"""The column of whole conversations."""

FIELDS = ("role", "content", "tool_calls", "name", "tool_call_id", "weight")
"""The fields of a message in a row. `tool_calls` is JSON text of a list of {id?, name, arguments};
`weight` is null, or 0 for a turn that is context and never trained on. All but `role` and `content`
may be null or missing: older files have only those two."""


@dataclasses.dataclass
class Conversation:
    """Messages in the format of chat templates, and the tools that may be called."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None
    """OpenAI's format: {type: function, function: {name, description, parameters}}."""
    supervised: list[bool] = dataclasses.field(default_factory=list)
    """Per message, whether it may be trained on: not if its weight is 0, nor if it is the
    assistant's before the first user's. By default all may. Which roles are trained on is decided
    by the trainer."""

    def __post_init__(self) -> None:
        """Fill `supervised`; raises ValueError if its length differs from the messages'."""
        self.supervised = self.supervised or [True] * len(self.messages)
        if len(self.supervised) != len(self.messages):
            raise ValueError(
                f"{len(self.supervised)} values of `supervised` for {len(self.messages)} messages"
            )

    @classmethod
    def of(cls, row: Mapping[str, Any], column: str = WHOLE) -> Conversation:
        """Return the conversation in a row's column; raises InputError, naming the row, if broken.

        A column that is null, as in rejected rows, is an empty conversation. `messages` holds whole
        conversations, the other columns parts of one.
        """
        try:
            messages = row[column] or []
            tools = row.get("tools")
            roles = [message["role"] for message in messages]
            first_user = roles.index("user") if column == WHOLE and "user" in roles else 0
            return cls(
                [_template_message(message) for message in messages],
                json.loads(tools) if tools else None,
                [
                    message.get("weight") != 0
                    and (turn >= first_user or roles[turn] != "assistant")
                    for turn, message in enumerate(messages)
                ],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise InputError(
                f"row {row.get('id')!r}: '{column}' is not a conversation ({problem})"
            ) from error

    def __add__(self, other: Conversation) -> Conversation:
        """Return this conversation and what follows it: a prompt and its answer."""
        return Conversation(
            self.messages + other.messages,
            self.tools if self.tools is not None else other.tools,
            self.supervised + other.supervised,
        )

    def answers(self) -> list[int]:
        """Return the indices of the assistant's turns that may be trained on."""
        return [
            turn
            for turn, message in enumerate(self.messages)
            if message["role"] == "assistant" and self.supervised[turn]
        ]

    def first(self, count: int) -> Conversation:
        """Return the first `count` messages; a negative count leaves out the last ones."""
        return Conversation(self.messages[:count], self.tools, self.supervised[:count])


def calls_text(calls: list[dict[str, Any]]) -> str | None:
    """Return calls, {id?, name, arguments}, as a row's JSON text; None if there are none."""
    return json.dumps(calls, ensure_ascii=False) if calls else None


def plain_text(message: Mapping[str, Any]) -> str:
    """Return a row's message with its tool calls as text, for readers without tools.

    A call is a line such as `find({"what": "a"})` below the content.
    """
    calls = json.loads(message.get("tool_calls") or "[]")
    lines = [
        f"{call['name']}({json.dumps(call['arguments'], ensure_ascii=False)})" for call in calls
    ]
    content = message["content"] or ""
    return "\n".join([content, *lines] if content or not lines else lines)


def _template_message(message: Mapping[str, Any]) -> Message:
    message_out: Message = {"role": message["role"], "content": message["content"] or ""}
    if message.get("tool_calls"):
        message_out["tool_calls"] = [
            _template_call(call) for call in json.loads(message["tool_calls"])
        ]
    for name in ("name", "tool_call_id"):
        if message.get(name) is not None:
            message_out[name] = message[name]
    return message_out


def _template_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": call["arguments"]}
    call_out: dict[str, Any] = {"type": "function", "function": function}
    return call_out | ({"id": call["id"]} if call.get("id") is not None else {})
