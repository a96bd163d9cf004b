"""Rows of chat files, read as messages: OpenAI's form, ShareGPT's, pairs, questions."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from storm_data.dataset import chat_schema
from storm_data.row_form import Content

if TYPE_CHECKING:
    import pyarrow as pa


class ChatFormat(Enum):
    """How a row holds its conversation."""

    auto = "auto"
    """Whichever of the following the row has."""
    openai = "openai"
    """`messages`: a list of {role, content}."""
    sharegpt = "sharegpt"
    """`conversations`: a list of {from, value}."""
    preference = "preference"
    """`chosen` (messages, or text that answers `prompt`): what was preferred is kept."""
    question = "question"
    """A question and its answer in two columns: Alpaca's `instruction` (with `input`) and `output`,
    OpenOrca's `system_prompt`, `question` and `response`, MetaMathQA's `query` and `response`,
    Natural Instructions' `definition`, `inputs` and `targets`."""


ROLES = ("system", "user", "assistant", "tool")

_SPEAKERS = {
    "system": "system",
    "developer": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
    "function": "tool",
}

_SYSTEMS = ("system_prompt", "system")
_QUESTIONS = ("instruction", "question", "query", "definition")
_FURTHER = ("input", "inputs")
_ANSWERS = ("output", "response", "answer", "targets")


class BadRow(Exception):
    """A row that cannot be used: `reason` is one of a few, `detail` says what exactly."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class ChatRows:
    """Rows that are conversations: `messages`."""

    def __init__(self, form: ChatFormat) -> None:
        """Read rows of this form alone."""
        self._form = form

    def schema(self, **further: str) -> pa.Schema:
        """Return the Arrow schema, with `further` columns by Arrow type name."""
        return chat_schema(**further)

    def read(self, row: dict[str, Any]) -> Content:
        """Return a row's messages; raises BadRow."""
        messages = read_messages(row, self._form)
        return Content({"messages": messages}, said(messages), size(messages))


def read_messages(row: dict[str, Any], form: ChatFormat) -> list[dict[str, str]]:
    """Return a row's messages as {role, content}; raises BadRow.

    Besides what `read_turns` refuses, a conversation without a user's and an assistant's turn
    makes the row bad.
    """
    turns = _turns(row, form)
    if not turns:
        raise BadRow("no messages", "the list is empty")
    messages = read_turns(turns)
    for role in ("user", "assistant"):
        if not any(message["role"] == role for message in messages):
            raise BadRow(f"no {role} turn", f"{len(messages)} messages")
    return messages


def read_turns(turns: list[Any]) -> list[dict[str, str]]:
    """Return messages as {role, content}; raises BadRow.

    Roles become system, user, assistant or tool. An empty system message is dropped; any other
    empty message, and an unknown role, make the row bad.
    """
    read = (_message(turn, position) for position, turn in enumerate(turns, start=1))
    return [message for message in read if message is not None]


def said(messages: list[dict[str, str]]) -> list[list[str]]:
    """Return messages as [role, content]: what makes two conversations the same."""
    return [[message["role"], message["content"]] for message in messages]


def size(messages: list[dict[str, str]]) -> int:
    """Return the number of characters of a conversation."""
    return sum(len(message["content"]) for message in messages)


def _turns(row: dict[str, Any], form: ChatFormat) -> list[Any]:
    if form in (ChatFormat.auto, ChatFormat.openai) and row.get("messages") is not None:
        return _list(row, "messages")
    if form in (ChatFormat.auto, ChatFormat.sharegpt) and row.get("conversations") is not None:
        system = row.get("system")
        first = [{"from": "system", "value": system}] if isinstance(system, str) else []
        return first + _list(row, "conversations")
    if form in (ChatFormat.auto, ChatFormat.preference) and row.get("chosen") is not None:
        return _chosen(row)
    if form in (ChatFormat.auto, ChatFormat.question) and _first(row, _ANSWERS) is not None:
        return _asked(row)
    wanted = {
        ChatFormat.openai: "messages",
        ChatFormat.sharegpt: "conversations",
        ChatFormat.preference: "chosen",
        ChatFormat.question: " or ".join(_ANSWERS),
        ChatFormat.auto: "messages, conversations, chosen or answer",
    }[form]
    raise BadRow("no messages", f"no {wanted}; the row has {', '.join(map(str, row)) or 'no keys'}")


def _chosen(row: dict[str, Any]) -> list[Any]:
    chosen, prompt = row["chosen"], row.get("prompt")
    if isinstance(chosen, str):
        answer: list[Any] = [{"role": "assistant", "content": chosen}]
    else:
        answer = _list(row, "chosen")
    if any(
        isinstance(turn, dict)
        and turn.get("role", turn.get("from")) != "assistant"
        and turn.get("from") != "gpt"
        for turn in answer
    ):
        return answer
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}, *answer]
    return [*prompt, *answer] if isinstance(prompt, list) else answer


def _asked(row: dict[str, Any]) -> list[Any]:
    question, further = _first(row, _QUESTIONS), _first(row, _FURTHER)
    if isinstance(question, str) and isinstance(further, str) and further.strip():
        question = f"{question}\n\n{further}"
    return [
        {"role": "system", "content": _first(row, _SYSTEMS)},
        {"role": "user", "content": question},
        {"role": "assistant", "content": _first(row, _ANSWERS)},
    ]


def _first(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _list(row: dict[str, Any], key: str) -> list[Any]:
    value = row[key]
    if not isinstance(value, list):
        raise BadRow("no messages", f"{key} is no list")
    return value


def _message(turn: Any, position: int) -> dict[str, str] | None:
    if not isinstance(turn, dict):
        raise BadRow("malformed message", f"message {position} is no object")
    speaker = turn.get("role", turn.get("from"))
    role = _SPEAKERS.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        raise BadRow("unknown role", f"{speaker!r} in message {position}"[:200])
    content = _text(turn.get("content", turn.get("value")), position)
    if not content.strip():
        if role == "system":
            return None
        raise BadRow("empty message", f"message {position} ({role})")
    return {"role": role, "content": content}


def _text(content: Any, position: int) -> str:
    if isinstance(content, list):  # OpenAI's parts
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
        if all(isinstance(part, str) for part in parts):
            content = "".join(str(part) for part in parts)
    if content is None:
        return ""
    if not isinstance(content, str):
        raise BadRow("malformed message", f"the content of message {position} is no text")
    try:
        content.encode()
    except UnicodeEncodeError as error:
        raise BadRow("broken UTF-8", f"a lone surrogate in message {position}") from error
    return content
