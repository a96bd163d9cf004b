"""Chats with marks in place of their contents, to locate the contents in a rendered text."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from storm_models.chat.control_tokens import strings
from storm_models.chat.template import Chat, UnusableChat

TOOLS = -1
"""The message index of marks that belong to the tools."""


@dataclasses.dataclass(frozen=True)
class ContentSpan:
    """The span of a content, or of a function's or tool's name, in a rendered text."""

    message: int
    start: int
    end: int
    following: str
    """What the template writes from `end` to the next content, or to the end of the text."""


class Marking:
    """A chat whose contents and names of called functions and tools are replaced by marks."""

    def __init__(self, chat: Chat) -> None:
        """Choose marks that the chat does not contain."""
        sign = "turn"
        while any(f"⟦{sign}-" in text for text in strings([chat.messages, chat.tools])):
            sign += "n"
        self._sign, self._pattern = sign, re.compile(rf"⟦{sign}-(\d+)⟧")
        self._values: list[tuple[int, str]] = []
        self._described: list[str] = []
        messages = []
        for index, message in enumerate(chat.messages):
            marked = dict(message)
            if message["content"]:
                part = f"its {message['role']} turn"
                marked["content"] = self._mark(index, message["content"], part)
            if message.get("tool_calls"):
                calls = message["tool_calls"]
                marked["tool_calls"] = [self._named(c, index, "its tool calls") for c in calls]
            messages.append(marked)
        tools = chat.tools and [self._named(tool, TOOLS, "its tools") for tool in chat.tools]
        self.chat = Chat(messages, tools, chat.ask)

    def first(self, count: int) -> Chat:
        """Return the marked chat's first messages."""
        return Chat(self.chat.messages[:count], self.chat.tools)

    def check_shown(self, marked: str) -> None:
        """Raise UnusableChat if a rendering of the marked chat leaves out a mark."""
        seen = {int(number) for number in self._pattern.findall(marked)}
        for number, part in enumerate(self._described):
            if number not in seen:
                raise UnusableChat(f"the chat template does not show {part}")

    def contents(self, marked: str, text: str) -> list[ContentSpan] | None:
        """Return the spans in `text` of the contents that are marked in `marked`, in order.

        None if `text` is not `marked` with the marks replaced: the template changes more of a
        content than the white space around it.
        """
        pieces = self._pattern.split(marked)
        if not text.startswith(pieces[0]):
            return None
        position = len(pieces[0])
        contents = []
        for number, following in zip(pieces[1::2], pieces[2::2], strict=True):
            message, value = self._values[int(number)]
            written = _written(text, position, value, following)
            if written is None:
                return None
            end = position + len(written)
            contents.append(ContentSpan(message, position, end, following))
            position = end + len(following)
        return contents if position == len(text) else None

    def after_last(self, marked: str) -> str:
        """Return the text after the last mark in a rendering of marked messages."""
        return self._pattern.split(marked)[-1]

    def _named(self, entry: dict[str, Any], message: int, part: str) -> dict[str, Any]:
        function = entry["function"]
        mark = self._mark(message, function["name"], part)
        return {**entry, "function": {**function, "name": mark}}

    def _mark(self, message: int, value: str, part: str) -> str:
        self._values.append((message, value))
        self._described.append(part)
        return f"⟦{self._sign}-{len(self._values) - 1}⟧"


def common_start(text: str, other: str) -> str:
    """Return the longest common prefix."""
    for index, (first, second) in enumerate(zip(text, other, strict=False)):
        if first != second:
            return text[:index]
    return min(text, other, key=len)


def first_end(text: str, tokens: Sequence[str]) -> int:
    """Return the end of the first of `tokens` in a text, or the text's length without any."""
    ends = [text.index(token) + len(token) for token in tokens if token in text]
    return min(ends) if ends else len(text)


def _written(text: str, position: int, value: str, following: str) -> str | None:
    for variant in (value, value.strip(), value.lstrip(), value.rstrip()):
        if text.startswith(variant + following, position):
            return variant
    return None
