"""Rows that are preferences: a prompt, an answer that was chosen, and one that was rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm_data.chat import BadRow, read_turns, said, size
from storm_data.dataset import preference_schema
from storm_data.row_form import Content

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ["id", "prompt", "chosen", "rejected", "tools", "source"]

Messages = list[dict[str, str]]

_PROMPTS = ("prompt", "question", "instruction", "input")
_SIDES = ("chosen", "rejected")
_ENDS = ("user", "tool")


class PreferenceRows:
    """Rows that are preferences: `prompt`, `chosen` and `rejected`, all lists of messages.

    Read are UltraFeedback's binarized form (`prompt` a string, `chosen` and `rejected` messages
    that begin with it), Orca pairs' (`system`, `question`, and two strings), and TRL's, with the
    prompt given or implied: what the messages of chosen and rejected begin with.
    """

    def schema(self, **further: str) -> pa.Schema:
        """Return the Arrow schema, with `further` columns by Arrow type name."""
        return preference_schema(**further)

    def read(self, row: dict[str, Any]) -> Content:
        """Return a row's prompt and answers; raises BadRow. Rows are a group whose prompts differ
        in white space at most.

        Bad are a side that is missing, empty, or does not begin and end with the assistant, two
        sides that say the same or answer different prompts, and a prompt that is missing or does
        not end with a user's (or tool's) turn.
        """
        prompt = _given(row)
        chosen, rejected = (_side(row, name) for name in _SIDES)
        if _stripped(chosen) == _stripped(rejected):
            raise BadRow("same answers", f"{size(chosen)} characters")
        whole = [side[0]["role"] != "assistant" for side in (chosen, rejected)]
        if any(whole):
            shared = _shared(chosen, rejected)
            _agree(prompt, shared)
            prompt, chosen, rejected = shared, chosen[len(shared) :], rejected[len(shared) :]
        if not prompt:
            raise BadRow("no prompt", f"no {' or '.join(_PROMPTS)}, and none in the answers")
        if not any(message["role"] == "user" for message in prompt):
            raise BadRow("no user turn", f"{len(prompt)} messages in the prompt")
        if prompt[-1]["role"] not in _ENDS:
            raise BadRow("no final user turn", f"the prompt ends with the {prompt[-1]['role']}")
        columns = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
        identity = [said(messages) for messages in columns.values()]
        characters = sum(size(messages) for messages in columns.values())
        group = [[role, " ".join(content.split())] for role, content in identity[0]]
        return Content(columns, identity, characters, group=group)


def _given(row: dict[str, Any]) -> Messages:
    """Return the prompt that a row names, with its system message; empty where it names none."""
    found = next((row[name] for name in _PROMPTS if row.get(name)), [])
    if isinstance(found, str):
        system = {"role": "system", "content": row.get("system")}
        return read_turns([system, {"role": "user", "content": found}])
    if not isinstance(found, list):
        raise BadRow("malformed message", "the prompt is neither text nor a list")
    return read_turns(found)


def _side(row: dict[str, Any], name: str) -> Messages:
    """Return what a side says: text is the assistant's."""
    side = row.get(name)
    if side is None:
        raise BadRow("no pair", f"no {name}; the row has {', '.join(map(str, row)) or 'no keys'}")
    if isinstance(side, str):
        side = [{"role": "assistant", "content": side}]
    if not isinstance(side, list):
        raise BadRow("malformed message", f"{name} is neither text nor a list")
    messages = read_turns(side)
    if not messages or messages[-1]["role"] != "assistant":
        raise BadRow("no assistant turn", f"{name} does not end with one")
    return messages


def _shared(chosen: Messages, rejected: Messages) -> Messages:
    """Return what both begin with; raises BadRow unless the assistant goes on from there."""
    count = 0
    while chosen[count : count + 1] == rejected[count : count + 1] != []:
        count += 1
    for name, side in zip(_SIDES, (chosen, rejected), strict=True):
        follows = side[count]["role"] if count < len(side) else "nothing"
        if follows != "assistant":
            raise BadRow(
                "differing prompts", f"after {count} messages in common, {name} has {follows}"
            )
    return chosen[:count]


def _agree(given: Messages, shared: Messages) -> None:
    """Raise BadRow where a row names another prompt than its answers begin with."""
    texts = [message["content"].strip() for message in shared]
    for message in given:
        if message["content"].strip() not in texts:
            raise BadRow(
                "differing prompts",
                f"the answers do not begin with the {message['role']}'s turn of the prompt",
            )


def _stripped(messages: Messages) -> list[tuple[str, str]]:
    return [(message["role"], message["content"].strip()) for message in messages]
