"""Ranking rows by what a judge said of them, and sharing a budget out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from storm_curation.curators.highest_value import HighestValue
from storm_curation.judge.scores import EDUCATION, Scores
from storm_curation.selection.selection import (
    THRESHOLD_STEPS,
    Rejection,
    Verdict,
    divide,
    scores_of_rows,
    weigh_row,
)
from storm_data.dataset import Dataset
from storm_exp import StageContext


def select_best(
    settings: HighestValue, stage: StageContext, data: Dataset, scores: Scores
) -> Dataset:
    """Keep the best of the rows that pass the thresholds, up to the budget of each source.

    Rows of the same value are taken in the order in which rows are drawn, which the seed decides.
    """
    verdicts: list[Verdict] = []
    values: list[float] = []
    for row in scores_of_rows(settings, data, scores):
        verdicts.append(weigh_row(settings, row))
        values.append(row[f"{EDUCATION}_expected"] if row and verdicts[-1] is None else 0.0)
    passed = [number for number in settings.draw_order(len(verdicts)) if verdicts[number] is None]
    if passed:
        sources = [""] * len(verdicts)
        if settings.by_source:
            named = data.table("train").column("source").to_pylist()
            sources = [name or "" for name in named]
        counts = Counter(sources[number] for number in passed)
        left = share_out(sum(settings.sizes(len(passed))), counts)
        stage.say(", ".join(f"{name or 'all'}: {n} of {counts[name]}" for name, n in left.items()))
        for number in sorted(passed, key=lambda number: -values[number]):
            if left[sources[number]]:
                left[sources[number]] -= 1
            else:
                verdicts[number] = Rejection("value", "others are worth more")
    return divide(settings, stage, data, verdicts, (*THRESHOLD_STEPS, "value"))


def share_out(budget: int, counts: Mapping[str, int]) -> dict[str, int]:
    """Share a budget of rows out evenly over sources that have `counts` rows.

    What a source cannot use goes to the others; a rest that does not divide goes to the larger
    ones, by name where they are equal. The sum is `budget`, or all rows where there are fewer.
    """
    shares: dict[str, int] = {}
    names = sorted(counts, key=lambda name: (counts[name], name))
    for place, name in enumerate(names):
        shares[name] = min(counts[name], (budget - sum(shares.values())) // (len(names) - place))
    return {name: shares[name] for name in sorted(shares)}
