"""A conversation as models see it, and how a row holds it: messages, calls of tools, tools."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from storm_exp import InputError

Message = dict[str, Any]
"""A message in the form that chat templates take: `role`, `content`, and where there are any
`tool_calls` (`{type: function, function: {name, arguments}}`, maybe with an `id`), `name` and
`tool_call_id`."""

WHOLE = "messages"
"""The column of whole conversations."""

FIELDS = ("role", "content", "tool_calls", "name", "tool_call_id", "weight")
"""The fields of a message in a row. `tool_calls` is JSON text of a list of {id?, name, arguments};
`weight` is null, or 0 for a turn that is context and never learnt. All but `role` and `content` may
be null, or missing: older files have those two alone."""


@dataclasses.dataclass
class Conversation:
    """Messages in the form that chat templates take, and the tools that may be called."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None
    """OpenAI's form: {type: function, function: {name, description, parameters}}."""
    supervised: list[bool] = dataclasses.field(default_factory=list)
    """Per message, whether it may be learnt: not where its weight is 0, nor where the assistant
    speaks before the user did, which answers nothing and is context. All, where none is given.
    Whose turns are learnt is for who learns to say."""

    def __post_init__(self) -> None:
        """Fill `supervised`; raises ValueError where it does not fit the messages."""
        self.supervised = self.supervised or [True] * len(self.messages)
        if len(self.supervised) != len(self.messages):
            raise ValueError(f"{len(self.supervised)} marks for {len(self.messages)} messages")

    @classmethod
    def of(cls, row: Mapping[str, Any], column: str = WHOLE) -> Conversation:
        """Return what a column of a row says; raises InputError, naming the row, for broken JSON.

        A column that is null, as in rejected rows, is an empty conversation. `messages` holds whole
        conversations, the other columns parts of one.
        """
        try:
            messages = row[column] or []
            tools = row.get("tools")
            roles = [message["role"] for message in messages]
            asked = roles.index("user") if column == WHOLE and "user" in roles else 0
            return cls(
                [_shown(message) for message in messages],
                json.loads(tools) if tools else None,
                [
                    message.get("weight") != 0 and (place >= asked or roles[place] != "assistant")
                    for place, message in enumerate(messages)
                ],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise InputError(
                f"row {row.get('id')!r}: '{column}' is no conversation ({problem})"
            ) from error

    def __add__(self, other: Conversation) -> Conversation:
        """Return this conversation and what follows it: a prompt and its answer."""
        return Conversation(
            self.messages + other.messages,
            self.tools if self.tools is not None else other.tools,
            self.supervised + other.supervised,
        )

    def answers(self) -> list[int]:
        """Return the numbers of the assistant's turns that may be learnt."""
        return [
            turn
            for turn, message in enumerate(self.messages)
            if message["role"] == "assistant" and self.supervised[turn]
        ]

    def first(self, count: int) -> Conversation:
        """Return the conversation up to `count` messages; negative counts leave out the last."""
        return Conversation(self.messages[:count], self.tools, self.supervised[:count])


def calls_text(calls: list[dict[str, Any]]) -> str | None:
    """Return calls, {id?, name, arguments}, as a row holds them; None where there are none."""
    return json.dumps(calls, ensure_ascii=False) if calls else None


def plain_text(message: Mapping[str, Any]) -> str:
    """Return what a message of a row says and calls, for readers that know no tools.

    A call is a line such as `find({"what": "a"})` below the content.
    """
    calls = json.loads(message.get("tool_calls") or "[]")
    lines = [
        f"{call['name']}({json.dumps(call['arguments'], ensure_ascii=False)})" for call in calls
    ]
    content = message["content"] or ""
    return "\n".join([content, *lines] if content or not lines else lines)


def _shown(message: Mapping[str, Any]) -> Message:
    shown: Message = {"role": message["role"], "content": message["content"] or ""}
    if message.get("tool_calls"):
        shown["tool_calls"] = [_shown_call(call) for call in json.loads(message["tool_calls"])]
    for name in ("name", "tool_call_id"):
        if message.get(name) is not None:
            shown[name] = message[name]
    return shown


def _shown_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": call["arguments"]}
    shown: dict[str, Any] = {"type": "function", "function": function}
    return shown | ({"id": call["id"]} if call.get("id") is not None else {})
