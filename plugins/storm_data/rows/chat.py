"""Rows of chats in OpenAI's or ShareGPT's format, as preferences, or as questions with answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from storm_data.rows import message
from storm_data.rows.arrow_schema import chat_schema
from storm_data.rows.bad_row import BadRow
from storm_data.rows.fields import Fields, Names, choose_names, has_content
from storm_data.rows.rendering import Renderings
from storm_data.rows.row_schema import Content
from storm_data.rows.tool_calls import TOOLS, json_text, read_tools
from storm_data.rows.tool_form import ToolForm
from storm_models.chat.conversation import Message
from storm_models.chat.tool_calls import CallSpelling

if TYPE_CHECKING:
    import pyarrow as pa


class ChatFormat(Enum):
    """The format of a row's conversation."""

    auto = "auto"
    """The first of the following that the row has."""
    openai = "openai"
    """`messages`: a list of {role, content}, with `tool_calls` and `weight`."""
    sharegpt = "sharegpt"
    """`conversations`: a list of {from, value}."""
    preference = "preference"
    """`chosen` (messages, or text that answers `prompt`): the preferred answer is used."""
    question = "question"
    """A question and its answer in two columns: Alpaca's `instruction` (with `input`, optionally
    `history`) and `output`, Dolly's `instruction` (with `context`) and `response`, OpenOrca's
    `system_prompt`, `question` and `response`, MetaMathQA's `query` and `response`, Natural
    Instructions' `definition`, `inputs` and `targets`, HelpSteer's `prompt` and `response`, TRL's
    `prompt` and `completion`, which may be lists of messages."""


NAMES: Names = {
    **message.NAMES,
    "messages": ("messages",),
    "conversations": ("conversations",),
    "prompt": ("prompt", "question", "instruction", "input"),
    "chosen": ("chosen",),
    "system": ("system_prompt", "system"),
    "question": ("instruction", "question", "query", "definition", "prompt"),
    "further": ("input", "inputs", "context"),
    "answer": ("output", "response", "answer", "targets", "completion"),
    "calls": (),
    "history": ("history",),
    "tools": ("tools", "functions"),
}
"""Parts of a chat's row, and the columns that may hold them. `calls` are tool calls as answer."""

_KEYS = {
    ChatFormat.openai: ("messages",),
    ChatFormat.sharegpt: ("conversations",),
    ChatFormat.preference: ("chosen",),
    ChatFormat.question: ("answer", "calls"),
}
"""The parts that identify each format."""

OPENING = "begins with the assistant: context only"


class ChatRows:
    """Rows that are conversations: `messages`."""

    def __init__(
        self,
        format: ChatFormat = ChatFormat.auto,
        fields: Mapping[str, str] | None = None,
        tool_form: ToolForm = ToolForm.template,
        call_spelling: CallSpelling = CallSpelling.json,
    ) -> None:
        """Read rows of this format only; `fields` name columns. Raises SettingError."""
        self._tool_form, self._spelling = tool_form, call_spelling
        self.names = choose_names(NAMES, fields or {})
        self._renderings = Renderings()
        formats = list(_KEYS) if format is ChatFormat.auto else [format]
        self._formats = sorted(formats, key=lambda entry: not set(_KEYS[entry]) & set(fields or {}))

    def schema(self, **further: str) -> pa.Schema:
        """Return the Arrow schema, with `further` columns by Arrow type name."""
        return chat_schema(**further)

    def read(self, row: dict[str, Any]) -> Content:
        """Return a row's messages and tools; raises BadRow.

        Bad are rows that `read_turns` refuses, conversations without a user's turn or without a
        later assistant's turn that may be trained on, and media. An assistant's turn before the
        first user's is context (see `Conversation`).
        """
        fields = Fields(row, self.names, renderings=self._renderings)
        message.refuse_media(fields, "the row")
        messages = message.read_turns(fields, self._turns(fields))
        messages = with_system_column(fields, messages)
        tools = read_tools(fields.get("tools"))
        _check(fields, messages)
        fields.close(texts(messages))
        messages, tools = self._tool_form.written(messages, tools, self._spelling)
        columns = {"messages": messages, "tools": json_text(tools, TOOLS) if tools else None}
        return Content(
            columns, identity(messages, tools), size(messages), remarks=frozenset(fields.remarks)
        )

    def _turns(self, fields: Fields) -> list[Any]:
        values = {entry: fields.peek(*_KEYS[entry]) for entry in self._formats}
        present = [entry for entry, value in values.items() if value is not None]
        if not present:
            keys = [name for f in self._formats for key in _KEYS[f] for name in fields.columns(key)]
            raise BadRow("no messages", f"no {' or '.join(keys)}; the row has {fields.listing()}")
        chosen = next((entry for entry in present if has_content(values[entry])), present[0])
        if chosen is ChatFormat.preference:
            return _chosen_turns(fields)
        if chosen is ChatFormat.question:
            return _question_turns(fields)
        turns = turns_of(fields, _KEYS[chosen][0])
        if not turns:
            raise BadRow("no messages", "the list is empty")
        return turns


def turns_of(fields: Fields, name: str) -> list[Any]:
    """Return a column's list of messages, which may be JSON text; raises BadRow."""
    value = fields.get(name)
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadRow("no messages", f"{name} is not JSON: {error}"[:200]) from error
    if not isinstance(value, list):
        raise BadRow("no messages", f"{name} is not a list")
    return value


def with_system_column(fields: Fields, messages: list[Message]) -> list[Message]:
    """Return messages, preceded by the row's system column where they have no system message."""
    system = fields.peek("system")
    if not isinstance(system, str) or not system.strip():
        return messages
    if any(turn["role"] == "system" for turn in messages):
        return messages
    text = message.read_text(fields, fields.get("system"), "the system column")
    return [{"role": "system", "content": text}, *messages]


def identity(messages: list[Message], tools: list[dict[str, Any]] | None = None) -> list[Any]:
    """Return a JSON value that is equal for equal conversations: contents, calls and tools.

    Ids of calls are left out, as they are arbitrary.
    """
    turns: list[Any] = [[turn["role"], turn["content"], *_extras(turn)] for turn in messages]
    return [*turns, {"tools": tools}] if tools else turns


def texts(messages: list[Message]) -> list[str]:
    """Return the contents of messages."""
    return [turn["content"] for turn in messages]


def size(messages: list[Message]) -> int:
    """Return the number of characters of a conversation, calls included."""
    return sum(len(turn["content"]) + len(turn.get("tool_calls") or "") for turn in messages)


def _extras(turn: Message) -> list[Any]:
    extras = {name: turn[name] for name in ("name", "weight") if turn.get(name) is not None}
    if turn.get("tool_calls"):
        calls = json.loads(turn["tool_calls"])
        extras["calls"] = [[call["name"], call["arguments"]] for call in calls]
    return [extras] if extras else []


def _check(fields: Fields, messages: list[Message]) -> None:
    roles = [turn["role"] for turn in messages]
    if "user" not in roles:
        raise BadRow("no user turn", f"{len(messages)} messages")
    first = roles.index("user")
    answers = [turn for turn in messages[first:] if turn["role"] == "assistant"]
    if not answers:
        detail = f"none of {len(messages)} messages after the first user turn"
        raise BadRow("no assistant turn", detail)
    if all(turn.get("weight") == 0 for turn in answers):
        raise BadRow("nothing to learn", "the weight of every answer is 0")
    if "assistant" in roles[:first]:
        fields.remarks.add(OPENING)


def _chosen_turns(fields: Fields) -> list[Any]:
    chosen = fields.peek("chosen")
    if isinstance(chosen, str):
        answer: list[Any] = [{"role": "assistant", "content": fields.get("chosen")}]
    else:
        answer = turns_of(fields, "chosen")
    if any(_speaker(turn) not in ("assistant", "gpt") for turn in answer):
        return answer
    prompt = fields.peek("prompt")
    if isinstance(prompt, list):
        return [*fields.get("prompt"), *answer]
    return [{"role": "user", "content": fields.get("prompt")}, *answer] if prompt else answer


def _speaker(turn: Any) -> Any:
    return turn.get("role", turn.get("from")) if isinstance(turn, dict) else None


def _question_turns(fields: Fields) -> list[Any]:
    if fields.peek("label") is False:  # the rejected answers of TRL's unpaired preferences
        raise BadRow("marked as bad", "its label is false")
    if isinstance(fields.peek("label"), bool):
        fields.get("label")
    question, answer = fields.get("question"), fields.get("answer")
    further = fields.peek("further")
    if question is None or (isinstance(question, str) and not question.strip()):
        question = fields.get("further") if further is not None else question
    elif isinstance(question, str) and isinstance(further, str) and further.strip():
        question = f"{question}\n\n{fields.get('further')}"
    before = question if _is_chat(question) else [{"role": "user", "content": question}]
    after: Any = answer if _is_chat(answer) else [{"role": "assistant", "content": answer}]
    if (calls := fields.get("calls")) is not None:
        after = [{"role": "assistant", "content": answer, "tool_calls": calls}]
    return [*_history(fields), *before, *after]


def _history(fields: Fields) -> list[Any]:
    """Return the earlier turns in LLaMA-Factory's format: pairs of a question and an answer."""
    pairs = fields.peek("history")
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and [type(text) for text in pair] == [str, str] for pair in pairs
    ):
        return []
    roles = ("user", "assistant")
    return [
        {"role": role, "content": text}
        for pair in fields.get("history")
        for role, text in zip(roles, pair, strict=True)
    ]


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and all(_speaker(turn) is not None for turn in value)
