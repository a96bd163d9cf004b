"""The summary of a judge: histograms, and agreement with true labels where they are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from storm_curation.judge.judge_accuracy import accuracy, area_under_curve
from storm_curation.judge.rubric import Question
from storm_curation.judge.scores import DIFFICULTY, EDUCATION, OK

BINS = 20
"""The number of bins of a histogram."""


class Summary:
    """Accumulates statistics of rows and their judgements, shard by shard."""

    def __init__(self, questions: Mapping[str, Question]) -> None:
        self._questions = questions
        self._statuses: Counter[str] = Counter()
        self._labels: dict[str, Counter[str]] = {name: Counter() for name in questions}
        self._masses: dict[str, list[float]] = {name: [] for name in questions}
        self._expected: dict[str, list[float]] = {name: [] for name in questions}
        self._shortened = 0
        self._worth: list[tuple[float, float, str | None]] = []
        self._difficulty: list[tuple[str, str]] = []

    def add(
        self, rows: Sequence[Mapping[str, Any]], judgements: Sequence[Mapping[str, Any]]
    ) -> None:
        """Count the judgements of `rows`, in the same order."""
        for row, judgement in zip(rows, judgements, strict=True):
            self._statuses[judgement["status"]] += 1
            if judgement["status"] != OK:
                continue
            self._shortened += judgement["tokens_judged"] < judgement["tokens_in_all"]
            for name in self._questions:
                self._labels[name][judgement[f"{name}_label"]] += 1
                self._masses[name].append(judgement[f"{name}_mass"])
                self._expected[name].append(judgement[f"{name}_expected"])
            if (worth := row.get("truth_quality")) is not None:
                entry = judgement[f"{EDUCATION}_expected"], float(worth)
                self._worth.append((*entry, row.get("truth_corruption")))
            if (difficulty := row.get("truth_difficulty")) is not None:
                self._difficulty.append((judgement[f"{DIFFICULTY}_label"], difficulty))

    def to_json(self) -> dict[str, Any]:
        """Return the statistics as JSON values."""
        questions = {}
        for name, question in self._questions.items():
            values = question.values()
            questions[name] = {
                "labels": question.scale(),
                "counts": [self._labels[name][label] for label in question.scale()],
                "expected": histogram(self._expected[name], min(values), max(values)),
                "mass": histogram(self._masses[name], 0.0, 1.0),
                "below_half_mass": sum(mass < 0.5 for mass in self._masses[name]),
            }
        content = {
            "rows": sum(self._statuses.values()),
            "statuses": dict(sorted(self._statuses.items())),
            "shortened": self._shortened,
            "label_mass": {
                name: sum(masses) / len(masses) if masses else 0.0
                for name, masses in self._masses.items()
            },
            "questions": questions,
        }
        if self._worth:
            content["truth"] = self._truth()
        return content

    def _truth(self) -> dict[str, Any]:
        """Compare the expected educational value with the true one.

        A row is good if its `truth_quality` reaches the middle of the scale, or one half where the
        truth is 0 or 1. Each family of corruption is compared with the uncorrupted rows.
        """
        known = {worth for _, worth, _ in self._worth}
        values = self._questions[EDUCATION].values()
        middle = 0.5 if known <= {0.0, 1.0} else (min(values) + max(values)) / 2
        good = [score for score, worth, _ in self._worth if worth >= middle]
        bad = [score for score, worth, _ in self._worth if worth < middle]
        families: dict[str, list[float]] = {}
        for score, _, family in self._worth:
            families.setdefault(family or "", []).append(score)
        clean = families.pop("", [])
        return {
            "good_from": middle,
            "good": len(good),
            "bad": len(bad),
            "auc": area_under_curve(good, bad),
            "clean": len(clean),
            "families": {
                name: {"rows": len(scores), "auc": area_under_curve(clean, scores)}
                for name, scores in sorted(families.items())
            },
            "difficulty": self._difficulty_truth(),
        }

    def _difficulty_truth(self) -> dict[str, Any]:
        predicted = [label for label, _ in self._difficulty]
        true = [label for _, label in self._difficulty]
        pairs = Counter(self._difficulty)
        scale = self._questions[DIFFICULTY].scale()
        table = {t: {g: pairs[g, t] for g in scale} for t in sorted(set(true))}
        return {"accuracy": accuracy(predicted, true), "given_by_true": table}


def histogram(values: Sequence[float], low: float, high: float) -> dict[str, Any]:
    """Count values in BINS equal bins from `low` to `high`; outer values go to the end bins."""
    counts = [0] * BINS
    for value in values:
        bin_index = int((value - low) / (high - low) * BINS)
        counts[min(max(bin_index, 0), BINS - 1)] += 1
    return {"low": low, "high": high, "counts": counts}
