"""What a chat template writes between the things that are said, learnt from what it renders.

Nearly all templates write a text between two neighbours that depends on their kinds alone: between
the start and a system's words, between a question and an answer. Those have a form in Go's
template language, in which Ollama wants them. What does not fit is found out and refused.
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
"""A kind, and what is written of it."""
Table = dict[tuple[str, str], str]
"""{(kind before, kind): the text between them}"""


@dataclasses.dataclass
class Transitions:
    """The texts between neighbours."""

    table: Table
    calls_tools: bool
    """Whether tools, calls and results are among them."""


def items(chat: Conversation) -> Iterator[Item]:
    """Yield what is said in a chat, in the order in which nearly all templates write it."""
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
    """Return a template's transitions; `render` gives a chat's text up to the next answer.

    Raises InputError where what is written between two neighbours depends on more than these.
    """
    table: Table = {}
    for chat in _plain():
        _add(table, chat, render)
    if (USER, END) not in table or (START, USER) not in table:
        raise InputError("the chat template refuses a question")
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
    """Add what a chat shows; one that the template refuses shows nothing."""
    try:
        text = render(chat)
    except UnusableChat:
        return
    said = list(items(chat))
    at = 0
    for (before, _), (kind, content) in itertools.pairwise(said):
        place = len(text) if kind == END else text.find(content, at)
        if place < 0:
            raise InputError(f"the chat template does not write the {kind} {content!r} as it is")
        known = table.setdefault((before, kind), text[at:place])
        if known != text[at:place]:
            raise InputError(
                f"the chat template writes between {before} and {kind} once {known!r} and once "
                f"{text[at:place]!r}"
            )
        at = place + len(content)


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
        {"type": "function", "function": {"name": f"Qtool{at}q", "parameters": {"a": at}}}
        for at in range(2)
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
    """Return a text with every JSON object in it written without spaces, keys sorted."""
    decoder, found, at = json.JSONDecoder(), [], 0
    for match in re.finditer(r"\{", text):
        if match.start() < at:
            continue
        try:
            value, end = decoder.raw_decode(text, match.start())
        except ValueError:
            continue
        found += [text[at : match.start()], go_json(value)]
        at = end
    return "".join([*found, text[at:]])
