"""Transitions of a chat template: the text between neighbouring items, from rendered chats.

In nearly all templates the text between two items (the start and the system message, a question
and its answer) depends on their kinds alone. Such templates can be translated to Go's template
language, which Ollama uses; others are refused.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from storm_exp import InputError
from storm_export.ollama.go_template import go_json
from storm_models.chat.conversation import Conversation
from storm_models.chat.template import UnusableChat

START, END = "start", "end"
SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
TOOL, NAME, ARGUMENTS, RESULT = "tool", "name", "arguments", "result"

Item = tuple[str, str]
"""A kind, and the text of the item."""
Table = dict[tuple[str, str], str]
"""{(kind before, kind): the text between them}"""


@dataclasses.dataclass
class Transitions:
    """The texts between neighbouring items."""

    table: Table
    calls_tools: bool
    """Whether tools, calls and results are among the kinds."""


def items(chat: Conversation) -> Iterator[Item]:
    """Yield the items of a chat, in the order in which nearly all templates write them."""
    messages, yielded = list(chat.messages), [(START, "")]
    if chat.tools and messages[0]["role"] == SYSTEM:
        yielded.append((SYSTEM, messages.pop(0)["content"]))
    yielded += [(TOOL, json.dumps(tool, ensure_ascii=False)) for tool in chat.tools or []]
    for message in messages:
        kind = RESULT if message["role"] == "tool" else message["role"]
        calls = message.get("tool_calls") or []
        if message["content"] or not calls:
            yielded.append((kind, message["content"]))
        for call in calls:
            arguments = json.dumps(call["function"]["arguments"], ensure_ascii=False)
            yielded += [(NAME, call["function"]["name"]), (ARGUMENTS, arguments)]
    yield from [*yielded, (END, "")]


def learn(render: Callable[[Conversation], str]) -> Transitions:
    """Return a template's transitions; `render` returns a chat's text up to the next answer.

    Raises InputError if the text between two items depends on more than their kinds.
    """
    table: Table = {}
    for chat in _plain():
        _add(table, chat, render)
    if (USER, END) not in table or (START, USER) not in table:
        raise InputError("the chat template refuses a chat of one question")
    with_tools = dict(table)
    try:
        for chat in _with_tools():
            _add(with_tools, chat, render)
    except InputError:
        return Transitions(table, calls_tools=False)
    needed = [(START, TOOL), (TOOL, USER), (NAME, ARGUMENTS), (RESULT, END)]
    if not all(pair in with_tools for pair in needed):
        return Transitions(table, calls_tools=False)
    return Transitions(with_tools, calls_tools=True)


def _add(table: Table, chat: Conversation, render: Callable[[Conversation], str]) -> None:
    """Add the transitions of a chat; one that the template refuses is skipped."""
    try:
        text = render(chat)
    except UnusableChat:
        return
    end = 0
    for (before, _), (kind, content) in itertools.pairwise(items(chat)):
        start = len(text) if kind == END else text.find(content, end)
        if start < 0:
            raise InputError(f"the chat template changes the {kind} {content!r}")
        between = text[end:start]
        known = table.setdefault((before, kind), between)
        if known != between:
            raise InputError(
                f"the chat template writes {known!r} between {before} and {kind} in one chat, "
                f"{between!r} in another"
            )
        end = start + len(content)


def _said(*turns: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in turns]


def _plain() -> list[Conversation]:
    system, first, answer, second = "Qsystemq", "Qfirstq", "Qanswerq", "Qsecondq"
    turns = [(USER, first), (ASSISTANT, answer), (USER, second)]
    return [
        Conversation(_said(*turns[:1])),
        Conversation(_said((SYSTEM, system), *turns[:1])),
        Conversation(_said(*turns)),
        Conversation(_said((SYSTEM, system), *turns)),
        Conversation(_said(*turns, (ASSISTANT, "Qotherq"), (USER, "Qthirdq"))),
    ]


def _with_tools() -> list[Conversation]:
    tools = [
        {"type": "function", "function": {"name": f"Qtool{i}q", "parameters": {"a": i}}}
        for i in range(2)
    ]
    call = {"type": "function", "function": {"name": "Qcallq", "arguments": {"Qkeyq": "Qvalueq"}}}
    again = {"type": "function", "function": {"name": "Qagainq", "arguments": {"Qmoreq": 1}}}
    question = _said((USER, "Qfirstq"))
    called = {"role": ASSISTANT, "content": "", "tool_calls": [call]}
    twice = {**called, "tool_calls": [call, again]}
    spoken = {**called, "content": "Qspokenq"}
    result = {"role": "tool", "content": "Qresultq", "name": "Qcallq"}
    other = {**result, "content": "Qotherq"}
    answer = _said((ASSISTANT, "Qanswerq"), (USER, "Qsecondq"))
    system = _said((SYSTEM, "Qsystemq"))
    chats = [
        question,
        [*system, *question],
        [*question, called, result],
        [*question, called, result, *answer],
        [*question, twice, result, other],
        [*question, spoken, result],
    ]
    return [Conversation(chat, tools[:count]) for chat in chats for count in (1, 2)]


def normalised(text: str) -> str:
    """Return a text with every JSON object rewritten without spaces and with sorted keys."""
    decoder, parts, copied = json.JSONDecoder(), [], 0
    for match in re.finditer(r"\{", text):
        if match.start() < copied:
            continue
        try:
            value, end = decoder.raw_decode(text, match.start())
        except ValueError:
            continue
        parts += [text[copied : match.start()], go_json(value)]
        copied = end
    return "".join([*parts, text[copied:]])
