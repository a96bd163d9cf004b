"""Verdicts on rows: kept, or rejected for a reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from storm_curation.judge.scores import DIFFICULTY, EDUCATION, OK, QUESTIONS


@dataclasses.dataclass(frozen=True)
class Rejection:
    """The reason for rejecting a row, and the step."""

    step: str
    reason: str
    setting: str = ""
    """The curator's setting that rejected it, if one did."""


Verdict = Rejection | None
"""None for a row that is kept."""

THRESHOLD_STEPS = ("judged", "label mass", "education", "difficulty")


class EducationBy(Enum):
    """The judge's number that is used as the educational value."""

    most_probable = "most_probable"
    """The most probable label, as in Storm."""
    expected = "expected"
    """The mean of the labels, weighted by their probabilities."""


def weigh_row(
    row: Mapping[str, Any] | None,
    *,
    min_education: float,
    education_by: EducationBy,
    difficulties: Sequence[str],
    min_label_mass: float,
) -> Verdict:
    """Apply thresholds to a row of scores; None is a row that was not judged."""
    if row is None:
        return Rejection("judged", "judge: not judged")
    if row["status"] != OK:
        return Rejection("judged", f"judge: {row['status']}")
    for question in QUESTIONS:
        if row[f"{question}_mass"] < min_label_mass:
            reason = f"label mass of {question} < {min_label_mass:g}"
            return Rejection("label mass", reason, "min_label_mass")
    if education_by is EducationBy.expected:
        if row[f"{EDUCATION}_expected"] < min_education:
            reason = f"expected education < {min_education:g}"
            return Rejection("education", reason, "min_education")
    elif float(row[f"{EDUCATION}_label"]) < min_education:
        reason = f"education {row[f'{EDUCATION}_label']} < {min_education:g}"
        return Rejection("education", reason, "min_education")
    if row[f"{DIFFICULTY}_label"] not in difficulties:
        reason = f"difficulty {row[f'{DIFFICULTY}_label']}"
        return Rejection("difficulty", reason, "difficulties")
    return None


def count_kept(verdicts: Sequence[Verdict]) -> int:
    """Return the number of kept rows."""
    return sum(verdict is None for verdict in verdicts)
