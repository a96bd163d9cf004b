"""Tokenised examples in flat arrays: the data that a trainer sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class TokenSequences:
    """N token sequences, one after the other, with the tokens that the loss counts marked."""

    ids: np.ndarray
    """int32 [total]: token ids."""
    supervised: np.ndarray
    """bool [total]: whether the model learns to predict this token. A sequence's first token is
    never predicted, whatever stands here."""
    offsets: np.ndarray
    """int64 [N + 1]: sequence i is ids[offsets[i] : offsets[i + 1]]."""

    @classmethod
    def collect(
        cls,
        examples: Iterable[tuple[Sequence[int] | np.ndarray, Sequence[bool] | np.ndarray | None]],
    ) -> TokenSequences:
        """Build from pairs (ids, supervised); None supervises every token, as in pretraining."""
        ids: list[np.ndarray] = []
        supervised: list[np.ndarray] = []
        for tokens, mask in examples:
            ids.append(np.asarray(tokens, dtype=np.int32))
            marks = np.ones(len(tokens), dtype=bool) if mask is None else np.asarray(mask, bool)
            if len(marks) != len(tokens):
                raise ValueError(f"{len(tokens)} tokens, but a mask of {len(marks)}")
            supervised.append(marks)
        offsets = np.zeros(len(ids) + 1, dtype=np.int64)
        np.cumsum([len(tokens) for tokens in ids], out=offsets[1:])
        return cls(
            np.concatenate(ids) if ids else np.zeros(0, np.int32),
            np.concatenate(supervised) if supervised else np.zeros(0, bool),
            offsets,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(self.offsets[index], self.offsets[index + 1])
        return self.ids[part], self.supervised[part]

    def lengths(self) -> np.ndarray:
        """Return the number of tokens of each sequence, int64 [N]."""
        return np.diff(self.offsets)

    def targets(self) -> int:
        """Return how many tokens one epoch predicts: supervised ones that are not a first."""
        starts = self.offsets[:-1][self.lengths() > 0]
        return int(self.supervised.sum() - self.supervised[starts].sum())
