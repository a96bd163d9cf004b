"""Ranking rows by value within budgets, and dividing a budget among sources."""

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
    """Return verdicts that also reject kept rows beyond the budget of their source.

    `verdicts`, `values` and `sources` are per row. The rows of the highest values are kept, equal
    ones in the `order` of row numbers.
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
    """Return an even division of a budget of rows among sources with `counts` rows.

    What a source cannot use goes to the others; a remainder goes to the larger ones, by name where
    they are equal. The sum is `budget`, or all rows where there are fewer.
    """
    shares: dict[str, int] = {}
    names = sorted(counts, key=lambda name: (counts[name], name))
    for index, name in enumerate(names):
        shares[name] = min(counts[name], (budget - sum(shares.values())) // (len(names) - index))
    return {name: shares[name] for name in sorted(shares)}
