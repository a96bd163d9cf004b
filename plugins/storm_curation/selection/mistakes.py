"""Comparing a model's answers with the right ones, and drawing from what it missed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from storm_curation.curators.mistakes import Mistakes
from storm_curation.selection.rouge import rouge_l
from storm_curation.selection.selection import Rejection, Verdict, divide
from storm_data.dataset import Dataset
from storm_exp import InputError, StageContext

STEPS = ("asked", "mistaken", "drawn")
_NO_ANSWER = "the answer "
"""What the reasons begin with for which `answers` rejects a row that was asked."""


@dataclasses.dataclass
class Attempt:
    """What a model made of a row: None stands for an answer that was asked for and not given."""

    right: str
    answer: str | None

    @property
    def exact(self) -> bool:
        """Whether it is the very answer, white space aside."""
        return self.answer is not None and self.answer.strip() == self.right.strip()

    @property
    def rouge(self) -> float:
        """ROUGE-L, 0 to 1."""
        return rouge_l(self.answer or "", self.right)


def select_mistakes(
    settings: Mistakes, stage: StageContext, data: Dataset, answers: Dataset
) -> Dataset:
    """Keep what `settings` say of the rows that were missed; writes tasks.json beside them."""
    tasks: dict[str, list[int]] = {}
    attempts: list[Attempt | str] = []
    found = _answers(answers)
    for number, row in enumerate(data.rows("train")):
        tasks.setdefault(str(row[settings.task_column]), []).append(number)
        attempts.append(_attempt(row, found))
    order = {number: place for place, number in enumerate(settings.draw_order(len(attempts)))}
    verdicts: list[Verdict] = [
        Rejection("asked", attempt) if isinstance(attempt, str) else None for attempt in attempts
    ]
    summary: dict[str, dict[str, Any]] = {}
    for task, numbers in sorted(tasks.items()):
        asked = {n: a for n in numbers if isinstance(a := attempts[n], Attempt)}
        if not asked:
            continue
        drawn = sorted(asked, key=lambda number: order[number])
        for number, verdict in _choose(settings, task, drawn, asked, summary).items():
            verdicts[number] = verdict
    curated = divide(settings, stage, data, verdicts, STEPS)
    text = json.dumps(summary, indent=1, ensure_ascii=False)
    (stage.directory / "tasks.json").write_text(text + "\n", encoding="utf-8")
    return curated


def _choose(
    settings: Mistakes,
    task: str,
    drawn: Sequence[int],
    asked: Mapping[int, Attempt],
    summary: dict[str, dict[str, Any]],
) -> dict[int, Verdict]:
    """Return verdicts on the rows of a task, which come in the order of the draw."""
    words = sum(len(attempt.right.split()) for attempt in asked.values()) / len(asked)
    exact = words <= settings.exact_words
    entry: dict[str, Any] = {"rows": len(asked), "words": words}
    summary[task] = entry
    if exact:
        missed = [number for number in drawn if not asked[number].exact]
        accuracy = 1 - len(missed) / len(asked)
        wanted = int(settings.accuracy_rows[tenth(accuracy)] * settings.factor)
        kept = set(missed[:wanted])
        entry |= {"accuracy": accuracy, "missed": len(missed), "kept": len(kept)}
        return {
            number: None
            if number in kept
            else Rejection("drawn", "enough of its task")
            if not asked[number].exact
            else Rejection("mistaken", "answered rightly")
            for number in drawn
        }
    verdicts: dict[int, Verdict] = {}
    groups: dict[int, list[int]] = {}
    for number in drawn:
        groups.setdefault(tenth(asked[number].rouge), []).append(number)
    for place, members in groups.items():
        share = settings.rouge_shares[place]
        count = int(share * len(members))
        low, high = place / 10, (place + 1) / 10
        reason = f"ROUGE-L of {low:.1f} to {high:.1f}"
        step = "drawn" if share else "mistaken"
        for rank, number in enumerate(members):
            verdicts[number] = None if rank < count else Rejection(step, reason)
    mean = sum(attempt.rouge for attempt in asked.values()) / len(asked)
    entry |= {"rouge": mean, "kept": sum(verdict is None for verdict in verdicts.values())}
    return verdicts


def tenth(share: float) -> int:
    """Return 0 for shares below 0.1, up to 9 for those of 0.9 and more."""
    return min(int(share * 10 + 1e-9), 9)


def _answers(answers: Dataset) -> dict[str, str | None]:
    """Return the answers by id, None where none was given; a question not asked is missing."""
    found: dict[str, str | None] = {
        row["id"]: row["messages"][-1]["content"] for row in answers.rows("train")
    }
    if not found:
        raise InputError("the port 'answers' holds no answered row")
    for row in _rejected(answers):
        if row["reason"].startswith(_NO_ANSWER):
            found.setdefault(row["id"], None)
    return found


def _rejected(answers: Dataset) -> Iterator[dict[str, Any]]:
    return answers.rows("rejected") if "rejected" in answers.splits() else iter(())


def _attempt(row: Mapping[str, Any], found: Mapping[str, str | None]) -> Attempt | str:
    """Return what was made of a row, or why nothing was."""
    messages = row["messages"]
    if not messages or messages[-1]["role"] != "assistant" or not messages[-1]["content"]:
        return "no right answer is known"
    if messages[-1].get("tool_calls"):
        return "the right answer calls tools"
    if row["id"] not in found:
        return "the model was not asked"
    return Attempt(messages[-1]["content"], found[row["id"]])
