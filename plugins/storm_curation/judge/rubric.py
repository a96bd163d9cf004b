"""The judge's questions, and prompts of rubric, example and question as one chat."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from storm_exp import SettingError
from storm_models.chat.conversation import plain_text

Message = dict[str, Any]
"""One turn of a chat: `role` and `content`."""


@dataclasses.dataclass(kw_only=True)
class Question:
    """A question about an example, answered with one token."""

    text: str = ""
    """The end of the prompt, after the example."""
    answers: list[str] = dataclasses.field(default_factory=list)
    """The possible answers, each one token, in the order of the scale."""
    labels: list[str] = dataclasses.field(default_factory=list)
    """The label of each answer; empty: the answers themselves."""

    def scale(self) -> list[str]:
        """Return the label of each answer, in order."""
        return list(self.labels or self.answers)

    def values(self) -> list[float]:
        """Return a number per label: the label if all are numbers, else its rank."""
        try:
            return [float(label) for label in self.scale()]
        except ValueError:
            return [float(rank) for rank in range(len(self.scale()))]

    def check(self, name: str) -> None:
        """Raise SettingError, naming the setting under `name`, for an invalid scale."""
        if len(self.answers) < 2 or len(set(self.answers)) < len(self.answers):
            raise SettingError(f"{name}.answers", self.answers, "needs two or more different ones")
        if self.labels and len(self.labels) != len(self.answers):
            problem = f"needs one label for each of the {len(self.answers)} answers"
            raise SettingError(f"{name}.labels", self.labels, problem)
        if len(set(self.scale())) < len(self.scale()):
            raise SettingError(f"{name}.labels", self.labels, "the labels must differ")


def education_question() -> Question:
    """Return the default question for educational value, 1 to 5."""
    return Question(
        text="\n\nEducational value, from 1 (none) to 5 (outstanding)? "
        "Answer with the number only.",
        answers=["1", "2", "3", "4", "5"],
    )


def difficulty_question() -> Question:
    """Return the default question for difficulty: easy, medium or hard."""
    return Question(
        text="\n\nHow difficult is the instruction? A: easy, B: medium, C: hard. "
        "Answer with the letter only.",
        answers=["A", "B", "C"],
        labels=["easy", "medium", "hard"],
    )


def judge_chat(head: str, example: str, text: str, messages: Sequence[Message]) -> list[Message]:
    """Return the chat that asks one question about a row: a single user turn.

    Its content is `head`, the example and the question's `text`, without separators. The judge's
    answer is the assistant's next turn, one token long. Raises ValueError for a row without an
    assistant's answer.
    """
    return ask(head, render_example(example, messages), text)


def ask(head: str, example: str, text: str) -> list[Message]:
    """Return the chat that asks about a rendered example."""
    return [{"role": "user", "content": head + example + text}]


def render_example(example: str, messages: Sequence[Message], tools: str | None = None) -> str:
    """Fill `{instruction}` and `{response}` in a template with a row's messages.

    The response is the last assistant's turn whose weight is not 0; later turns are left out. The
    instruction is everything before it: the content of a single user turn, else every turn as
    `Role: content` with an empty line between turns. Tool calls are rendered by `plain_text`;
    `tools`, JSON text, comes first. Braces inside the row are plain text. Raises ValueError for a
    row without an assistant's answer.
    """
    supervised = (m["role"] == "assistant" and m.get("weight") != 0 for m in messages)
    last = max((turn for turn, trained in enumerate(supervised) if trained), default=0)
    if last == 0:
        raise ValueError("no assistant's answer to an instruction")
    before = messages[:last]
    if len(before) == 1 and before[0]["role"] == "user":
        instruction = plain_text(before[0])
    else:
        turns = (f"{m['role'].capitalize()}: {plain_text(m)}" for m in before)
        instruction = "\n\n".join(turns)
    if tools:
        instruction = f"Tools: {tools}\n\n{instruction}"
    parts = {"{instruction}": instruction, "{response}": plain_text(messages[last])}
    return re.sub(r"\{instruction\}|\{response\}", lambda match: parts[match[0]], example)
