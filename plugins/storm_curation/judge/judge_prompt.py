"""Rows as prompts of bounded length, and rows that cannot be put to the judge."""

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
"""Stands where the middle of an example was left out."""


@dataclasses.dataclass
class Presented:
    """A row on its way to the judge."""

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

        `reason` says what shortened the prompts, if the model did.
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
            raise InputError(f"the judge cannot be shown the rubric: {rubric}")
        self._rubric = [len(ids) for ids in rubric]
        settings.check_room(max(self._rubric), reason)

    def present(self, rows: Sequence[Mapping[str, Any]]) -> list[Presented]:
        """Render rows; one that cannot be asked gets a status and a problem, not an exception."""
        shown = [self._show(row) for row in rows]
        good = [index for index, item in enumerate(shown) if isinstance(item, str)]
        encoded = self._encode([str(shown[index]) for index in good])
        result = [item if isinstance(item, Presented) else Presented() for item in shown]
        for index, prompts in zip(good, encoded, strict=True):
            if isinstance(prompts, UnusableChat):
                result[index] = Presented(status="unreadable", problem=str(prompts))
            else:
                result[index] = self._fit(str(shown[index]), prompts)
        return result

    def _show(self, row: Mapping[str, Any]) -> str | Presented:
        try:
            text = render_example(self._settings.example, row["messages"], row.get("tools"))
        except ValueError as error:
            return Presented(status="no_response", problem=str(error))
        except (AttributeError, KeyError, TypeError) as error:
            return Presented(status="unreadable", problem=f"{type(error).__name__}: {error}")
        try:
            self._chat.controls.check(text)
        except UnusableChat as reason:
            return Presented(status="special_token", problem=str(reason))
        return text

    def _encode(self, shown: Sequence[str]) -> list[list[list[int]] | UnusableChat]:
        """Return each example's prompts, one per question, or why it has none."""
        chats = [
            Conversation(ask(self._settings.head, text, tail))
            for text in shown
            for tail in self._texts
        ]
        prompts, step = self._chat.prompts(chats), len(self._texts)
        return [_together(prompts[start : start + step]) for start in range(0, len(prompts), step)]

    def _fit(self, text: str, prompts: list[list[int]]) -> Presented:
        """Shorten an example from the middle until every prompt fits."""
        limit = self._settings.max_length
        in_all = self._example_tokens(prompts)
        if max(map(len, prompts)) <= limit:
            return Presented("ok", None, in_all, in_all, prompts)
        room = limit - max(self._rubric)
        too_long = f"{in_all} tokens, {room} fit"
        if self._settings.overlong is Overlong.refuse:
            return Presented("too_long", too_long, 0, in_all)
        kept = len(text) * room // max(in_all, room)
        while kept > 2 * len(GAP):
            half = (kept - len(GAP)) // 2
            (shorter,) = self._encode([text[:half] + GAP + text[-half:]])
            if isinstance(shorter, UnusableChat):
                return Presented(status="unreadable", problem=str(shorter))
            prompts = shorter
            if max(map(len, prompts)) <= limit:
                return Presented("ok", None, self._example_tokens(prompts), in_all, prompts)
            kept = kept * 19 // 20 - 1
        return Presented("too_long", too_long, 0, in_all)

    def _example_tokens(self, prompts: list[list[int]]) -> int:
        return len(prompts[0]) - self._rubric[0]


def _together(prompts: Sequence[list[int] | UnusableChat]) -> list[list[int]] | UnusableChat:
    usable: list[list[int]] = []
    for prompt in prompts:
        if isinstance(prompt, UnusableChat):
            return prompt
        usable.append(prompt)
    return usable
