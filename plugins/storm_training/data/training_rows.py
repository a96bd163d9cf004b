"""The examples of a token set that a training run can use."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from storm_exp import InputError
from storm_training.data.token_sequences import TokenSequences
from storm_training.data.token_set import TokenSet


@dataclasses.dataclass
class TrainingRows:
    """The usable examples of one split, and how many were left out when it was made and here."""

    sequences: TokenSequences
    indices: np.ndarray
    """int64: indices of the used examples in the token set's split."""
    dropped: dict[str, int]
    """{reason: number of rows left out}."""

    def record(self) -> dict[str, Any]:
        """Return the counts for training.json."""
        return {"used": len(self.sequences), "dropped": self.dropped}


def read_rows(
    tokens: TokenSet, split: str, longest: int, *, cut: bool = False, limit: int | None = None
) -> TrainingRows:
    """Return the first `limit` examples of a split that are no longer than `longest` tokens.

    With `cut`, longer ones are cut into chunks instead of being left out.
    """
    sequences = tokens.sequences(split)
    indices = np.arange(len(sequences) if limit is None else min(limit, len(sequences)))
    sequences = sequences.select(indices)
    dropped = tokens.dropped(split)
    if cut:
        return TrainingRows(sequences.chunks(longest), indices, dropped)
    fitting = np.flatnonzero(sequences.lengths() <= longest)
    too_long = len(sequences) - len(fitting)
    if too_long:
        reason = f"longer than {longest} tokens"
        dropped = {**dropped, reason: dropped.get(reason, 0) + too_long}
        sequences, indices = sequences.select(fitting), indices[fitting]
    return TrainingRows(sequences, indices, dropped)


def require_rows(rows: TrainingRows, tokens: TokenSet, longest: int) -> None:
    """Raise InputError when no example is left."""
    if not len(rows.sequences):
        shortest = int(tokens.sequences("train").lengths().min())
        raise InputError(
            f"sequence_length={longest}: all {tokens.count('train')} examples are longer "
            f"(the shortest has {shortest} tokens)"
        )
