"""Drawing the examples of a mixture from its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from storm_training.data.token_sequences import TokenSequences


class MixtureDraw(NamedTuple):
    """The examples drawn from each part."""

    examples: list[np.ndarray]
    """Indices into each part, in the order drawn; repeated draws repeat an index."""
    tokens: np.ndarray
    """int64 [parts]: tokens drawn from each part."""
    passes: list[float]
    """Tokens drawn from each part, as a multiple of the part's tokens."""


def draw(
    lengths: Sequence[np.ndarray], shares: Sequence[float], tokens: int | None, seed: int
) -> MixtureDraw:
    """Draw whole examples of each part, in random order, to come closest to its share of `tokens`.

    `lengths` holds, per part, the tokens of its examples. If `tokens` is None, the mixture is as
    large as possible without repeating an example. Within a part, an example is drawn again only
    after all others.
    """
    weights = np.array(shares, dtype=float) / sum(shares)
    part_tokens = np.array([int(part_lengths.sum()) for part_lengths in lengths])
    whole = float(tokens or (part_tokens / weights).min())
    examples, drawn_tokens = [], []
    for part, (part_lengths, budget) in enumerate(zip(lengths, whole * weights, strict=True)):
        generator = np.random.default_rng([seed, part])
        passes = max(1, math.ceil(budget / max(int(part_lengths.sum()), 1)))
        order = np.concatenate([generator.permutation(len(part_lengths)) for _ in range(passes)])
        sums = np.cumsum(part_lengths[order])
        count = int(np.searchsorted(sums, budget))
        if count < len(sums):
            before = sums[count - 1] if count else 0
            count += bool(sums[count] - budget < budget - before)
        count = max(count, 1)
        examples.append(order[:count])
        drawn_tokens.append(int(sums[count - 1]))
    repeats = [drawn / total for drawn, total in zip(drawn_tokens, part_tokens, strict=True)]
    return MixtureDraw(examples, np.array(drawn_tokens), repeats)


def join(
    directory: Path,
    split: str,
    parts: Sequence[TokenSequences | None],
    examples: Sequence[np.ndarray],
) -> dict[str, Any]:
    """Write the spans of the given examples of every part; return the split's entry in tokens.json.

    A part that is None has no such split.
    """
    spans, sources, supervised = [], {}, 0
    for number, (part, indices) in enumerate(zip(parts, examples, strict=True)):
        if part is None:
            continue
        selected = part.select(indices)
        spans.append(selected.spans.copy())
        spans[-1][:, 0] = number
        sources[f"part {number + 1}"] = selected.tokens()
        supervised += selected.targets()
    joined = np.concatenate(spans)
    joined.tofile(directory / f"{split}.spans.bin")
    lengths = joined[:, 2] - joined[:, 1]
    return {
        "examples": len(joined),
        "tokens": int(lengths.sum()),
        "supervised": supervised,
        "longest": int(lengths.max(initial=0)),
        "dropped": {},
        "sources": sources,
    }
