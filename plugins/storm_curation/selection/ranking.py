"""Ranking rows by what a judge said of them, and sharing a budget out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from storm_curation.selection.verdict import Rejection, Verdict


def keep_best(
    verdicts: Sequence[Verdict],
    values: Sequence[float],
    sources: Sequence[str],
    order: Sequence[int],
    budgets: Mapping[str, int],
) -> list[Verdict]:
    """Reject, of the rows that are kept so far, those beyond the budget of their source.

    A row has a verdict, a value and a source. Rows of the same value are taken in `order`, which
    holds the numbers of the rows.
    """
    result, left = list(verdicts), dict(budgets)
    passed = [number for number in order if verdicts[number] is None]
    for number in sorted(passed, key=lambda number: -values[number]):
        if left[sources[number]]:
            left[sources[number]] -= 1
        else:
            result[number] = Rejection("value", "others are worth more")
    return result


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
