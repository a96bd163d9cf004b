"""Comparing a model's answers with the right ones, and selecting among the missed rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from storm_curation.selection.rouge import rouge_l
from storm_curation.selection.verdict import Rejection, Verdict
from storm_data.dataset import Dataset
from storm_exp import InputError

STEPS = ("asked", "mistaken", "drawn")
_NO_ANSWER = "the answer "
"""The beginning of the reasons for which the stage `answers` rejects an asked row."""


@dataclasses.dataclass
class Attempt:
    """A row's right answer and the model's; None where the model gave none."""

    right: str
    answer: str | None

    @property
    def exact(self) -> bool:
        """Whether the answers are equal, ignoring surrounding white space."""
        return self.answer is not None and self.answer.strip() == self.right.strip()

    @property
    def rouge(self) -> float:
        """ROUGE-L of the answer, 0 to 1."""
        return rouge_l(self.answer or "", self.right)


def attempts_by_row(data: Dataset, answers: Dataset) -> list[Attempt | str]:
    """Return the attempt at each row of the split `train`, or why there is none."""
    by_id = _answers(answers)
    return [_attempt(row, by_id) for row in data.rows("train")]


def right_words(attempts: Iterable[Attempt]) -> float:
    """Return the mean number of words of the right answers."""
    counts = [len(attempt.right.split()) for attempt in attempts]
    return sum(counts) / len(counts)


def choose_exact(
    attempts: Mapping[int, Attempt], wanted_by_tenth: Sequence[int]
) -> tuple[dict[int, Verdict], dict[str, Any]]:
    """Return verdicts on the rows of a task with short answers, and the task's summary.

    `attempts` are by row, in the order of the draw; the first `wanted_by_tenth[tenth(accuracy)]` of
    the missed rows are kept.
    """
    missed = [number for number, attempt in attempts.items() if not attempt.exact]
    accuracy = 1 - len(missed) / len(attempts)
    kept = set(missed[: wanted_by_tenth[tenth(accuracy)]])
    verdicts: dict[int, Verdict] = {
        number: None
        if number in kept
        else Rejection("drawn", "enough of its task")
        if not attempt.exact
        else Rejection("mistaken", "answered rightly")
        for number, attempt in attempts.items()
    }
    return verdicts, {"accuracy": accuracy, "missed": len(missed), "kept": len(kept)}


def choose_by_rouge(
    attempts: Mapping[int, Attempt], share_by_tenth: Sequence[float]
) -> tuple[dict[int, Verdict], dict[str, Any]]:
    """Return verdicts on the rows of a task with long answers, and the task's summary.

    `attempts` are by row, in the order of the draw; of the rows in each tenth of ROUGE-L, the share
    `share_by_tenth` is kept.
    """
    verdicts: dict[int, Verdict] = {}
    groups: dict[int, list[int]] = {}
    for number, attempt in attempts.items():
        groups.setdefault(tenth(attempt.rouge), []).append(number)
    for index, members in groups.items():
        share = share_by_tenth[index]
        count = int(share * len(members))
        low, high = index / 10, (index + 1) / 10
        reason = f"ROUGE-L of {low:.1f} to {high:.1f}"
        step = "drawn" if share else "mistaken"
        for rank, number in enumerate(members):
            verdicts[number] = None if rank < count else Rejection(step, reason)
    mean = sum(attempt.rouge for attempt in attempts.values()) / len(attempts)
    return verdicts, {"rouge": mean, "kept": sum(v is None for v in verdicts.values())}


def tenth(share: float) -> int:
    """Return 0 for shares below 0.1, up to 9 for those of 0.9 and more."""
    return min(int(share * 10 + 1e-9), 9)


def _answers(answers: Dataset) -> dict[str, str | None]:
    """Return the answers by id, None where none was given; rows that were not asked are missing."""
    by_id: dict[str, str | None] = {
        row["id"]: row["messages"][-1]["content"] for row in answers.rows("train")
    }
    if not by_id:
        raise InputError("the port 'answers' holds no answered row")
    if "rejected" in answers.splits():
        for row in answers.rows("rejected"):
            if row["reason"].startswith(_NO_ANSWER):
                by_id.setdefault(row["id"], None)
    return by_id


def _attempt(row: Mapping[str, Any], answers: Mapping[str, str | None]) -> Attempt | str:
    """Return the attempt at a row, or why there is none."""
    messages = row["messages"]
    if not messages or messages[-1]["role"] != "assistant" or not messages[-1]["content"]:
        return "no right answer is known"
    if messages[-1].get("tool_calls"):
        return "the right answer calls tools"
    if row["id"] not in answers:
        return "the model was not asked"
    return Attempt(messages[-1]["content"], answers[row["id"]])
