"""Rows that are preferences: a prompt, a chosen answer and a rejected one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from storm_data.rows import message
from storm_data.rows.arrow_schema import preference_schema
from storm_data.rows.bad_row import BadRow
from storm_data.rows.chat import identity, size, texts, turns_of, with_system_column
from storm_data.rows.fields import Fields, Names, choose_names
from storm_data.rows.rendering import Renderings
from storm_data.rows.row_schema import Content
from storm_data.rows.tool_calls import TOOLS, json_text, read_tools
from storm_data.rows.tool_form import ToolForm
from storm_models.chat.conversation import Message
from storm_models.chat.tool_calls import CallSpelling

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ["id", "prompt", "chosen", "rejected", "tools", "source"]

NAMES: Names = {
    **message.NAMES,
    "prompt": ("prompt", "question", "instruction", "input"),
    "system": ("system", "system_prompt"),
    "chosen": ("chosen",),
    "rejected": ("rejected",),
    "score_chosen": ("score_chosen", "chosen_score", "chosen-rating", "chosen_rating"),
    "score_rejected": ("score_rejected", "rejected_score", "rejected-rating", "rejected_rating"),
    "tools": ("tools", "functions"),
}
"""Parts of a preference's row, and the columns that may hold them."""

TIED = "equal scores"
REVERSED = "the rejected answer scores higher"

Messages = list[Message]

_SIDES = ("chosen", "rejected")
_ENDS = ("user", "tool")
_MOST = 1e300


class PreferenceRows:
    """Rows that are preferences: `prompt`, `chosen` and `rejected`, all lists of messages.

    Supported are UltraFeedback's binarized format (`prompt` a string, `chosen` and `rejected`
    messages that begin with it), that of Orca pairs (`system`, `question`, and two strings), and
    TRL's, where the prompt is given or is the common beginning of chosen and rejected.
    """

    def __init__(
        self,
        fields: Mapping[str, str] | None = None,
        tool_form: ToolForm = ToolForm.template,
        min_margin: float | None = None,
        call_spelling: CallSpelling = CallSpelling.json,
    ) -> None:
        """Read columns named by `fields`; with `min_margin`, pairs whose scores are closer, or
        missing, are bad. Raises SettingError.
        """
        self.names = choose_names(NAMES, fields or {})
        self._renderings = Renderings()
        self._tool_form, self._spelling = tool_form, call_spelling
        self._min_margin = min_margin

    def schema(self, **further: str) -> pa.Schema:
        """Return the Arrow schema, with `further` columns by Arrow type name."""
        return preference_schema(**further)

    def read(self, row: dict[str, Any]) -> Content:
        """Return a row's prompt and answers; raises BadRow.

        Rows whose prompts differ only in white space form a group. Bad are rows with an answer that
        is missing, empty, or does not begin and end with the assistant, with two equal answers or
        answers to different prompts, and with a prompt that is missing or does not end with a
        user's (or tool's) turn.
        """
        fields = Fields(row, self.names, renderings=self._renderings)
        message.refuse_media(fields, "the row")
        prompt = _stated_prompt(fields)
        chosen, rejected = (_side(fields, name) for name in _SIDES)
        if _stripped(chosen) == _stripped(rejected):
            raise BadRow("same answers", f"{size(chosen)} characters")
        with_prompt = [side[0]["role"] != "assistant" for side in (chosen, rejected)]
        if any(with_prompt):
            shared = _shared(chosen, rejected)
            _check_prompt(prompt, shared)
            prompt, chosen, rejected = shared, chosen[len(shared) :], rejected[len(shared) :]
        if not prompt:
            names = " or ".join(fields.columns("prompt"))
            raise BadRow("no prompt", f"no {names}, and none in the answers")
        prompt = with_system_column(fields, prompt)
        if not any(turn["role"] == "user" for turn in prompt):
            raise BadRow("no user turn", f"{len(prompt)} messages in the prompt")
        if prompt[-1]["role"] not in _ENDS:
            raise BadRow("no final user turn", f"the prompt ends with the {prompt[-1]['role']}")
        for name, side in zip(_SIDES, (chosen, rejected), strict=True):
            answers = [turn for turn in side if turn["role"] == "assistant"]
            if all(turn.get("weight") == 0 for turn in answers):
                raise BadRow("nothing to learn", f"the weight of every answer of {name} is 0")
        tools = read_tools(fields.get("tools"))
        self._compare_scores(fields)
        fields.close(texts(prompt + chosen + rejected))
        form, spelling = self._tool_form, self._spelling
        chosen, rejected = (form.written(side, None, spelling)[0] for side in (chosen, rejected))
        prompt, tools = form.written(prompt, tools, spelling)
        columns: dict[str, Any] = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
        same = [identity(messages) for messages in columns.values()]
        characters = sum(size(messages) for messages in columns.values())
        group = [[turn[0], " ".join(turn[1].split()), *turn[2:]] for turn in same[0]]
        columns["tools"] = json_text(tools, TOOLS) if tools else None
        if tools:
            same, group = [*same, [tools]], [*group, tools]
        return Content(columns, same, characters, group, frozenset(fields.remarks))

    def _compare_scores(self, fields: Fields) -> None:
        """Check a row's scores against `min_margin`, and remark on ties and reversed pairs."""
        scores = [fields.get("score_chosen"), fields.get("score_rejected")]
        known = all(isinstance(score, int | float) and abs(score) < _MOST for score in scores)
        margin = scores[0] - scores[1] if known else None
        if self._min_margin is not None:
            if margin is None:
                raise BadRow("no scores", "min_margin needs them")
            if margin < self._min_margin:
                raise BadRow("scores too close", f"{scores[0]} and {scores[1]}")
        if margin is not None and margin <= 0:
            fields.remarks.add(TIED if margin == 0 else REVERSED)


def _stated_prompt(fields: Fields) -> Messages:
    """Return the prompt in a row's own column; empty where there is none."""
    prompt = fields.get("prompt")
    if not prompt:
        return []
    if isinstance(prompt, str):
        return message.read_turns(fields, [{"role": "user", "content": prompt}])
    if not isinstance(prompt, list):
        raise BadRow("malformed message", "the prompt is neither text nor a list")
    return message.read_turns(fields, prompt)


def _side(fields: Fields, name: str) -> Messages:
    """Return an answer's messages; a plain text is the assistant's."""
    side = fields.peek(name)
    if side is None:
        wanted = " or ".join(fields.columns(name))
        raise BadRow("no pair", f"no {wanted}; the row has {fields.listing()}")
    if isinstance(side, str):
        turns: list[Any] = [{"role": "assistant", "content": fields.get(name)}]
    elif isinstance(side, list):
        turns = turns_of(fields, name)
    elif isinstance(side, dict):
        turns = [fields.get(name)]
    else:
        raise BadRow("malformed message", f"{name} is neither text nor a list")
    messages = message.read_turns(fields, turns)
    if not messages or messages[-1]["role"] != "assistant":
        raise BadRow("no assistant turn", f"{name} does not end with one")
    return messages


def _shared(chosen: Messages, rejected: Messages) -> Messages:
    """Return the common beginning; raises BadRow unless the assistant continues both."""
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


def _check_prompt(stated: Messages, shared: Messages) -> None:
    """Raise BadRow where a row's stated prompt differs from the beginning of its answers."""
    known = {turn["content"].strip() for turn in shared}
    for turn in stated:
        if turn["content"].strip() not in known:
            raise BadRow(
                "differing prompts",
                f"the answers do not begin with the {turn['role']}'s turn of the prompt",
            )


def _stripped(messages: Messages) -> list[Any]:
    return [[turn[0], turn[1].strip(), *turn[2:]] for turn in identity(messages)]
