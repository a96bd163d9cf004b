"""Which examples of which part a mixture holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from storm_training.data.token_sequences import TokenSequences


class Drawn(NamedTuple):
    """What was drawn from each part."""

    examples: list[np.ndarray]
    """Indices per part; one that was drawn twice stands twice."""
    tokens: np.ndarray
    """int64 [parts]"""
    passes: list[float]
    """How often each part was gone through, in tokens."""


def draw(
    lengths: Sequence[np.ndarray], shares: Sequence[float], tokens: int | None, seed: int
) -> Drawn:
    """Draw whole examples of each part, in random order, until its share of `tokens` is nearest.

    `lengths` holds the tokens of each part's examples. Without `tokens`, the whole is as large as
    it can be without drawing any example twice. An example is drawn again only after all others
    of its part.
    """
    weights = np.array(shares, dtype=float) / sum(shares)
    totals = np.array([int(each.sum()) for each in lengths])
    whole = float(tokens or (totals / weights).min())
    examples, drawn = [], []
    for part, (each, budget) in enumerate(zip(lengths, whole * weights, strict=True)):
        generator = np.random.default_rng([seed, part])
        passes = max(1, math.ceil(budget / max(int(each.sum()), 1)))
        order = np.concatenate([generator.permutation(len(each)) for _ in range(passes)])
        sums = np.cumsum(each[order])
        count = int(np.searchsorted(sums, budget))
        if count < len(sums):
            before = sums[count - 1] if count else 0
            count += bool(sums[count] - budget < budget - before)
        count = max(count, 1)
        examples.append(order[:count])
        drawn.append(int(sums[count - 1]))
    passes_each = [tokens / total for tokens, total in zip(drawn, totals, strict=True)]
    return Drawn(examples, np.array(drawn), passes_each)


def join(
    directory: Path,
    split: str,
    parts: Sequence[TokenSequences | None],
    examples: Sequence[np.ndarray],
) -> dict[str, Any]:
    """Write the spans of the chosen examples of every part; return the split's spec."""
    spans, sources, supervised = [], {}, 0
    for number, (part, chosen) in enumerate(zip(parts, examples, strict=True)):
        if part is None:
            continue
        selected = part.select(chosen)
        spans.append(selected.spans.copy())
        spans[-1][:, 0] = number
        sources[f"part {number + 1}"] = selected.tokens()
        supervised += selected.targets()
    every = np.concatenate(spans)
    every.tofile(directory / f"{split}.spans.bin")
    lengths = every[:, 2] - every[:, 1]
    return {
        "examples": len(every),
        "tokens": int(lengths.sum()),
        "supervised": supervised,
        "longest": int(lengths.max(initial=0)),
        "dropped": {},
        "sources": sources,
    }
