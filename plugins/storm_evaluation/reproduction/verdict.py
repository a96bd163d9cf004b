"""The verdict on a rerun: one of four."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from storm_evaluation.reproduction.scores import ScorePair, differing
from storm_evaluation.reproduction.stages import (
    OUTSIDE,
    Compared,
    Outcome,
    first_difference,
)

SAME_BITS, SAME_WITHIN_NOISE = "same bits", "same within noise"
CANNOT_SAY = "cannot say"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One of four: same bits, same within noise, different from STAGE on, cannot say."""

    text: str
    why: str

    @property
    def reproduced(self) -> bool:
        """Whether it is one of the first two."""
        return self.text in (SAME_BITS, SAME_WITHIN_NOISE)

    def line(self) -> str:
        """Return the verdict with its reason."""
        return f"{self.text}: {self.why}"


def judge(
    compared: Sequence[Compared], pairs: Sequence[ScorePair], missing: Sequence[str]
) -> Verdict:
    """Return the verdict on the steps of all cells and the scores of their evaluations.

    `pairs` are of the evaluations whose bits differ; `missing` says which of them could not be
    paired, and why.
    """
    absent = [each.then.label for each in compared if each.outcome is Outcome.MISSING]
    if absent:
        return Verdict(CANNOT_SAY, f"the rerun did not make {', '.join(absent)}")
    changed = [each for each in compared if each.outcome is Outcome.OTHER_DATA]
    first = first_difference(compared)
    if first is None and not changed:
        count = len({each.then.key for each in compared})
        return Verdict(SAME_BITS, f"all {count} artifacts have the digests that they had")
    if first is None:
        labels = ", ".join(each.then.label for each in changed)
        return Verdict(CANNOT_SAY, f"{labels}: {OUTSIDE}, and nothing that was made of it differs")
    label = first.then.label
    different = f"different from {label} on"
    if changed:
        labels = ", ".join(each.then.label for each in changed)
        return Verdict(different, f"{labels}: {OUTSIDE}")
    if first.settings_differ:
        return Verdict(different, "; ".join(first.why))
    return _by_scores(label, pairs, missing)


def _by_scores(label: str, pairs: Sequence[ScorePair], missing: Sequence[str]) -> Verdict:
    bits = f"bits differ from {label} on"
    open_ = [pair for pair in pairs if not pair.equivalent]
    if shown := [pair for pair in differing(pairs) if pair in open_]:
        return Verdict(f"different from {label} on", "; ".join(pair.line() for pair in shown))
    if missing:
        others = f" (and {len(missing) - 1} more alike)" if len(missing) > 1 else ""
        return Verdict(CANNOT_SAY, f"{bits}, and {missing[0]}{others}")
    if not pairs:
        return Verdict(CANNOT_SAY, f"{bits}, and there is no evaluation to compare")
    margin = pairs[0].margin
    if not open_:
        return Verdict(
            SAME_WITHIN_NOISE,
            f"{bits}, and scores within ± {margin:g} of what they were (90 % intervals, paired by "
            "question)",
        )
    widest = max(open_, key=lambda pair: max(map(abs, pair.equivalence)))
    low, high = widest.equivalence
    return Verdict(
        CANNOT_SAY,
        f"{bits}, and {widest.questions} questions are too few to show that scores are within ± "
        f"{margin:g}: {widest.label} differs by {low:+.4f} to {high:+.4f} (90 % interval)",
    )
