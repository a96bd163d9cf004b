"""Rows as judge prompts of bounded length, and rows that cannot be judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from storm_curation.judge.rubric import ask, render_example
from storm_curation.judge.settings import JudgeSettings, Overlong
from storm_exp import InputError
from storm_inference.label_ids import label_ids
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer
from storm_models.chat.template import UnusableChat

GAP = " ... "
"""The text in place of an example's omitted middle."""


@dataclasses.dataclass
class PromptedRow:
    """A row's prompts for the judge, or the problem that prevents them."""

    status: str = "ok"
    problem: str | None = None
    tokens_judged: int = 0
    tokens_in_all: int = 0
    prompts: list[list[int]] = dataclasses.field(default_factory=list)
    """Token ids per question; empty where the status is not ok."""


class JudgePrompt:
    """Renders rows for one judge and one tokenizer."""

    def __init__(self, settings: JudgeSettings, chat: ChatRenderer, reason: str = "") -> None:
        """Check answers and rubric on the tokenizer; raises SettingError.

        `reason` says why the model needs shorter prompts than the settings, if it does.
        """
        self._settings, self._chat = settings, chat
        questions = settings.questions()
        self._texts = [question.text for question in questions.values()]
        self.answer_ids = [
            label_ids(
                chat,
                Conversation(ask(settings.head, "x", question.text)),
                question.answers,
                f"{name}.answers",
            )
            for name, question in questions.items()
        ]
        (rubric,) = self._encode([""])
        if isinstance(rubric, UnusableChat):
            raise InputError(f"the judge's chat template cannot render the rubric: {rubric}")
        self._rubric = [len(ids) for ids in rubric]
        settings.check_room(max(self._rubric), reason)

    def prepare(self, rows: Sequence[Mapping[str, Any]]) -> list[PromptedRow]:
        """Render rows; one that cannot be judged gets a status and a problem."""
        examples = [self._show(row) for row in rows]
        good = [index for index, item in enumerate(examples) if isinstance(item, str)]
        encoded = self._encode([str(examples[index]) for index in good])
        result = [item if isinstance(item, PromptedRow) else PromptedRow() for item in examples]
        for index, prompts in zip(good, encoded, strict=True):
            if isinstance(prompts, UnusableChat):
                result[index] = PromptedRow(status="unreadable", problem=str(prompts))
            else:
                result[index] = self._fit(str(examples[index]), prompts)
        return result

    def _show(self, row: Mapping[str, Any]) -> str | PromptedRow:
        try:
            text = render_example(self._settings.example, row["messages"], row.get("tools"))
        except ValueError as error:
            return PromptedRow(status="no_response", problem=str(error))
        except (AttributeError, KeyError, TypeError) as error:
            return PromptedRow(status="unreadable", problem=f"{type(error).__name__}: {error}")
        try:
            self._chat.controls.check(text)
        except UnusableChat as reason:
            return PromptedRow(status="special_token", problem=str(reason))
        return text

    def _encode(self, examples: Sequence[str]) -> list[list[list[int]] | UnusableChat]:
        """Return each example's prompts, one per question, or why it cannot be rendered."""
        chats = [
            Conversation(ask(self._settings.head, text, tail))
            for text in examples
            for tail in self._texts
        ]
        prompts, step = self._chat.prompts(chats), len(self._texts)
        return [_joined(prompts[start : start + step]) for start in range(0, len(prompts), step)]

    def _fit(self, text: str, prompts: list[list[int]]) -> PromptedRow:
        """Shorten an example in the middle until every prompt fits."""
        limit = self._settings.max_length
        total = self._example_tokens(prompts)
        if max(map(len, prompts)) <= limit:
            return PromptedRow("ok", None, total, total, prompts)
        room = limit - max(self._rubric)
        too_long = f"{total} tokens, {room} fit"
        if self._settings.overlong is Overlong.refuse:
            return PromptedRow("too_long", too_long, 0, total)
        characters = len(text) * room // max(total, room)
        while characters > 2 * len(GAP):
            half = (characters - len(GAP)) // 2
            (shorter,) = self._encode([text[:half] + GAP + text[-half:]])
            if isinstance(shorter, UnusableChat):
                return PromptedRow(status="unreadable", problem=str(shorter))
            prompts = shorter
            if max(map(len, prompts)) <= limit:
                return PromptedRow("ok", None, self._example_tokens(prompts), total, prompts)
            characters = characters * 19 // 20 - 1
        return PromptedRow("too_long", too_long, 0, total)

    def _example_tokens(self, prompts: list[list[int]]) -> int:
        return len(prompts[0]) - self._rubric[0]


def _joined(prompts: Sequence[list[int] | UnusableChat]) -> list[list[int]] | UnusableChat:
    usable: list[list[int]] = []
    for prompt in prompts:
        if isinstance(prompt, UnusableChat):
            return prompt
        usable.append(prompt)
    return usable
