"""The view of evaluations: the answers of all models of a run, side by side."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from storm_evaluation.evaluation import SAMPLES, Evaluation
from storm_evaluation.look.answers import answered
from storm_report.look.listing import Listing
from storm_report.look.view import Choice, Subject

_ELEMENT = re.compile(r"[^\[\]/]*[\[/]([^\]]+)\]?(.*)")
"""A model's evaluation, as a run or a folder calls it: `evaluator[merger]`, `evaluator/merger`."""


class EvaluationView:
    """Shows documents with prompt, expected answer, and the answer and score of every model."""

    together = True

    def opens(self, place: Path) -> bool:
        """Return whether the folder has an evaluation with the scores of its documents."""
        return (place / "evaluation.json").is_file() and (place / SAMPLES).is_file()

    def show(self, subjects: Sequence[Subject], choice: Choice) -> Listing:
        """Return the listing of the documents that any of the models was asked."""
        named = [(_name(subject.name), Evaluation(subject.place)) for subject in subjects]
        tasks = dict.fromkeys(task for _, e in named for task in e.summary()["tasks"])
        documents = () if choice.dropped else answered(named)
        numbered = itertools.islice(enumerate(documents, start=1), choice.first, None)
        return Listing(
            "answers of " + ", ".join(name for name, _ in named),
            [f"tasks: {', '.join(tasks)}; long texts are cut, as evaluations keep them"],
            (document.example(number) for number, document in numbered),
        )


def _name(label: str) -> str:
    found = _ELEMENT.fullmatch(label)
    return "".join(found.groups()) if found else label
