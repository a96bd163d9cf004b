"""One message of a conversation, read into the form of `conversation.FIELDS`."""

from __future__ import annotations

from typing import Any

from storm_data.rows.bad_row import BadRow
from storm_data.rows.fields import Fields, Names, has_content
from storm_data.rows.tool_calls import CALLS, json_text, read_calls
from storm_models.chat.conversation import Message

ROLES = ("system", "user", "assistant", "tool")

NAMES: Names = {
    "role": ("role", "from"),
    "content": ("content", "value"),
    "weight": ("weight",),
}
"""Parts of a message, and the columns that may hold them."""

NOT_TEXT = "not text"
MEDIA = frozenset(("image", "images", "video", "videos", "audio", "audios"))
"""Fields that hold, or point to, media."""

_CALL = "function_call"
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
    _CALL: "assistant",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
    "function": "tool",
}
_TRAINED = ("loss", "train", "training")
_PARTS = (None, "text", "input_text", "output_text")


def read_turns(fields: Fields, turns: list[Any]) -> list[Message]:
    """Return messages with `role`, `content` and the other `FIELDS` that they have; raises BadRow.

    Roles become system, user, assistant or tool. An empty system message is left out with a remark;
    a tool's may be empty; any other message without text and calls makes the row bad, as does an
    unknown role. An assistant's text and its call, two turns in ShareGPT's format, become one
    message.
    """
    read: list[Message] = []
    for number, turn in enumerate(turns, start=1):
        message = _message(fields, turn, number)
        if message is None:
            fields.remarks.add("empty system message")
        elif _continues(turn, message, read):
            read[-1] = _joined(read[-1], message)
        else:
            read.append(message)
    return read


def read_text(fields: Fields, content: Any, where: str) -> str:
    """Return a content as text, joining OpenAI's list of text parts; raises BadRow."""
    if isinstance(content, list):
        content = "".join(_part(fields, part, where) for part in content)
    if content is None:
        return ""
    if not isinstance(content, str):
        raise BadRow("malformed message", f"the content of {where} is not text")
    check_unicode(content, where)
    return content


def check_unicode(text: str, where: str) -> None:
    """Raise BadRow for text that cannot be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRow("broken UTF-8", f"a lone surrogate in {where}") from error


def refuse_media(fields: Fields, where: str) -> None:
    """Raise BadRow where a media field has content."""
    for name in fields.among(MEDIA):
        if has_content(fields.peek(name)):
            raise BadRow(NOT_TEXT, f"{where} has {name}")


def _message(fields: Fields, turn: Any, number: int) -> Message | None:
    where = f"message {number}"
    if not isinstance(turn, dict):
        raise BadRow("malformed message", f"{where} is not an object")
    own = fields.inner(turn, "message.")
    speaker = own.get("role")
    role = _SPEAKERS.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        raise BadRow("unknown role", f"{speaker!r} in {where}"[:200])
    refuse_media(own, where)
    content, calls = own.get("content"), []
    if speaker == _CALL:
        content, calls = "", read_calls(own, content, where)
    elif role == "assistant":
        for name in ("tool_calls", _CALL):
            if own.peek(name):
                calls += read_calls(own, own.get(name), where)
    message: Message = {"role": role, "content": read_text(own, content, where)}
    if calls:
        message["tool_calls"] = json_text(calls, CALLS)
    elif not message["content"].strip() and role != "tool":
        if role == "system":
            return None
        raise BadRow("empty message", f"{where} ({role})")
    if own.used() < len(turn):
        _name(own, message, where)
        if (weight := _weight(own, where)) is not None:
            message["weight"] = weight
        own.close()
    return message


def _name(own: Fields, message: Message, where: str) -> None:
    for name in ("name", "tool_call_id"):
        if isinstance(value := own.peek(name), str) and value:
            check_unicode(value, where)
            message[name] = own.get(name)


def _weight(own: Fields, where: str) -> float | None:
    """Return 0 for a turn not to train on, by OpenAI's weight or a false `loss`; else None."""
    weight = own.get("weight")
    for name in _TRAINED:
        if isinstance(own.peek(name), bool):  # a number is a measurement
            trained = own.get(name)
            weight = (trained and weight) if weight is not None else trained
    if weight is None or (isinstance(weight, int | float) and weight == 1):
        return None
    if isinstance(weight, int | float) and weight == 0:
        return 0.0
    raise BadRow("unusable weight", f"{weight!r} in {where}, not 0 or 1"[:200])


def _part(fields: Fields, part: Any, where: str) -> str:
    if isinstance(part, dict):
        own = fields.inner(part, "part.")
        kind, text = own.get("type"), own.get("text")
        if kind not in _PARTS:
            raise BadRow(NOT_TEXT, f"{kind!r} in {where}"[:200])
        if isinstance(text, str):
            own.close()
            return text
    raise BadRow("malformed message", f"a part of {where} is not text")


def _continues(turn: dict[str, Any], message: Message, read: list[Message]) -> bool:
    if not read or _CALL not in (turn.get("from"), turn.get("role")):
        return False
    before = read[-1]
    return before["role"] == "assistant" and before.get("weight") == message.get("weight")


def _joined(message: Message, call: Message) -> Message:
    calls = [text[1:-1] for text in (message.get("tool_calls"), call["tool_calls"]) if text]
    return {**message, **call, "content": message["content"], "tool_calls": f"[{', '.join(calls)}]"}
