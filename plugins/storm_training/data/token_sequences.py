"""Tokenised examples in flat arrays: the data that a trainer sees."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

Tokens = Sequence[int] | np.ndarray
LossMask = Sequence[bool] | np.ndarray | None


@dataclasses.dataclass(frozen=True)
class TokenSequences:
    """N examples of one or more token sequences each, with the tokens that the loss counts marked.

    The arrays may be memory-mapped files: nothing here reads more than it is asked for.
    """

    parts: list[tuple[np.ndarray, np.ndarray]]
    """Pairs of int32 [total] token ids and bool [total] loss masks: whether the model learns to
    predict this token. A sequence's first token is never predicted, whatever stands there."""
    spans: np.ndarray
    """int64 [N · sequences_per_example, 3]: (part, start, end) of each sequence."""
    sequences_per_example: int = 1
    """Sequences of an example, which stay in one row: 2 for a chosen and a rejected answer."""

    @classmethod
    def collect(cls, examples: Iterable[tuple[Tokens, LossMask]]) -> TokenSequences:
        """Build from pairs (ids, supervised); None supervises every token, as in pretraining."""
        ids: list[np.ndarray] = []
        supervised: list[np.ndarray] = []
        for tokens, mask in examples:
            ids.append(np.asarray(tokens, dtype=np.int32))
            loss_mask = np.ones(len(tokens), dtype=bool) if mask is None else np.asarray(mask, bool)
            if len(loss_mask) != len(tokens):
                raise ValueError(f"{len(tokens)} tokens, but a mask of {len(loss_mask)}")
            supervised.append(loss_mask)
        ends = np.cumsum([len(tokens) for tokens in ids], dtype=np.int64)
        spans = np.zeros((len(ids), 3), dtype=np.int64)
        spans[1:, 1], spans[:, 2] = ends[:-1], ends
        part = (
            np.concatenate(ids) if ids else np.zeros(0, np.int32),
            np.concatenate(supervised) if supervised else np.zeros(0, bool),
        )
        return cls([part], spans)

    def __len__(self) -> int:
        return len(self.spans) // self.sequences_per_example

    def example(self, index: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the sequences of an example, as pairs (ids, supervised)."""
        first = index * self.sequences_per_example
        return [
            self._sequence(number) for number in range(first, first + self.sequences_per_example)
        ]

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the one sequence of an example."""
        (sequence,) = self.example(index)
        return sequence

    def lengths(self) -> np.ndarray:
        """Return the number of tokens of each example, int64 [N]."""
        each = self.spans[:, 2] - self.spans[:, 1]
        return np.asarray(each.reshape(-1, self.sequences_per_example).sum(axis=1), dtype=np.int64)

    def tokens(self) -> int:
        """Return the number of tokens of all examples."""
        return int((self.spans[:, 2] - self.spans[:, 1]).sum())

    def targets(self) -> int:
        """Return how many tokens one epoch predicts: supervised ones that are not a first."""
        total = 0
        for part, start, end in self.spans.tolist():
            total += int(np.count_nonzero(self.parts[part][1][start + 1 : end]))
        return total

    def learnable(self) -> bool:
        """Return whether there is any token to predict; stops at the first."""
        return any(
            self.parts[part][1][start + 1 : end].any() for part, start, end in self.spans.tolist()
        )

    def digest(self) -> str:
        """Return a digest of all tokens and loss masks: what a loss is measured on."""
        found = hashlib.sha256(str(self.sequences_per_example).encode())
        for number in range(len(self.spans)):
            ids, supervised = self._sequence(number)
            found.update(len(ids).to_bytes(8, "big"))
            found.update(np.ascontiguousarray(ids, np.int32).tobytes())
            found.update(np.ascontiguousarray(supervised, bool).tobytes())
        return found.hexdigest()[:16]

    def select(self, indices: np.ndarray) -> TokenSequences:
        """Return the examples with these indices; the arrays are shared."""
        chosen = self.spans.reshape(-1, self.sequences_per_example, 3)[indices].reshape(-1, 3)
        return dataclasses.replace(self, spans=chosen)

    def chunks(self, longest: int) -> TokenSequences:
        """Return the sequences cut into chunks of at most `longest` tokens, one after the other.

        A chunk begins with the last token of the one before, so that every token that could be
        predicted still is, exactly once.
        """
        assert self.sequences_per_example == 1
        step = longest - 1
        lengths = self.spans[:, 2] - self.spans[:, 1]
        counts = np.maximum(1, -(-(lengths - 1) // step))
        number = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        spans = np.repeat(self.spans, counts, axis=0)
        spans[:, 1] += number * step
        spans[:, 2] = np.minimum(spans[:, 2], spans[:, 1] + longest)
        return dataclasses.replace(self, spans=spans)

    def _sequence(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        part, start, end = self.spans[number].tolist()
        ids, supervised = self.parts[part]
        return ids[start:end], supervised[start:end]
