"""The scores of two evaluations of the same questions, paired."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storm_evaluation.comparison.comparison import shown_interval
from storm_evaluation.evaluation import Evaluation
from storm_exp import InputError
from storm_report.counted import counted

MARGIN = 0.02
"""Differences within ± margin, in scores or nats, count as none: that of comparisons."""


@dataclasses.dataclass(frozen=True)
class ScorePair:
    """The mean scores of two evaluations, with the interval of their difference."""

    label: str
    measure: str
    """mean, over the tasks of which more is better, or loss."""
    first: float
    second: float
    difference: float
    low: float
    high: float
    """The 95 % interval."""
    equivalence: tuple[float, float]
    """The 90 % interval, which must lie within ± margin to show that there is no difference."""
    p: float
    questions: int
    margin: float

    @property
    def equivalent(self) -> bool:
        """Whether two one-sided tests at 5 % show that they differ by less than the margin."""
        return -self.margin < self.equivalence[0] and self.equivalence[1] < self.margin

    def line(self) -> str:
        """Return scores and difference with its interval."""
        ends = shown_interval(self.low, self.high, f"[{self.low:+.4f}, {self.high:+.4f}]")
        return (
            f"{self.label}: {self.first:.4g} → {self.second:.4g}, difference "
            f"{self.difference:+.4f} {ends} over "
            f"{counted(self.questions, 'question')}"
        )


def pair_scores(
    label: str, first: Path, second: Path, margin: float = MARGIN
) -> tuple[list[ScorePair], dict[str, Any]]:
    """Return the paired means of two evaluations, and all of their comparison.

    Raises InputError if either cannot be read, or where their questions are not the same.
    """
    from storm_evaluation.comparison.document_matching import match_documents
    from storm_evaluation.comparison.paired import Paired

    try:
        tasks = match_documents([Evaluation(first), Evaluation(second)])
    except OSError as error:
        raise InputError(f"cannot read {error.filename} ({error.strerror})") from error
    content = Paired(margin=margin).compare(tasks)
    (entry,) = content["against_first"]
    pairs = []
    for measure in ("mean", "loss"):
        if content[measure] is None:
            continue
        scores, cell = content[measure], entry[measure]
        counted = [
            t for t in content["tasks"].values() if t["higher_is_better"] == (measure == "mean")
        ]
        pairs.append(
            ScorePair(
                label=label,
                measure=measure,
                first=scores[0]["score"],
                second=scores[1]["score"],
                difference=cell["difference"],
                low=cell["low"],
                high=cell["high"],
                equivalence=(cell["equivalence"][0], cell["equivalence"][1]),
                p=cell["p"],
                questions=sum(task["n"] for task in counted),
                margin=margin,
            )
        )
    return pairs, content


def differing(pairs: Sequence[ScorePair]) -> list[ScorePair]:
    """Return the pairs that differ, with Holm's correction over all of them at 5 %."""
    from storm_evaluation.comparison.significance import holm

    adjusted = holm([pair.p for pair in pairs])
    return [pair for pair, p in zip(pairs, adjusted, strict=True) if p < 0.05]
