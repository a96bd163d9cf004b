"""Tokenised examples in flat arrays, as training reads them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

Tokens = Sequence[int] | np.ndarray
LossMask = Sequence[bool] | np.ndarray | None


@dataclasses.dataclass(frozen=True)
class TokenSequences:
    """N examples of one or more token sequences each, with loss masks.

    The arrays may be memory-mapped files; only the examples asked for are read.
    """

    parts: list[tuple[np.ndarray, np.ndarray]]
    """Pairs of int32 [total] token ids and bool [total] loss masks, true where the model learns to
    predict the token. A sequence's first token is never predicted, whatever its mask."""
    spans: np.ndarray
    """int64 [N · sequences_per_example, 3]: (part, start, end) of each sequence."""
    sequences_per_example: int = 1
    """Sequences of an example, all packed into the same row: 2 for chosen and rejected answers."""

    @classmethod
    def collect(cls, examples: Iterable[tuple[Tokens, LossMask]]) -> TokenSequences:
        """Build from pairs (ids, loss mask); a mask of None supervises every token."""
        input_ids: list[np.ndarray] = []
        loss_masks: list[np.ndarray] = []
        for tokens, mask in examples:
            input_ids.append(np.asarray(tokens, dtype=np.int32))
            loss_mask = np.ones(len(tokens), dtype=bool) if mask is None else np.asarray(mask, bool)
            if len(loss_mask) != len(tokens):
                raise ValueError(f"{len(tokens)} tokens, but a loss mask of {len(loss_mask)}")
            loss_masks.append(loss_mask)
        ends = np.cumsum([len(tokens) for tokens in input_ids], dtype=np.int64)
        spans = np.zeros((len(input_ids), 3), dtype=np.int64)
        spans[1:, 1], spans[:, 2] = ends[:-1], ends
        part = (
            np.concatenate(input_ids) if input_ids else np.zeros(0, np.int32),
            np.concatenate(loss_masks) if loss_masks else np.zeros(0, bool),
        )
        return cls([part], spans)

    def __len__(self) -> int:
        return len(self.spans) // self.sequences_per_example

    def example(self, index: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the sequences of an example, as pairs (ids, loss mask)."""
        first = index * self.sequences_per_example
        return [
            self._sequence(number) for number in range(first, first + self.sequences_per_example)
        ]

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the only sequence of an example, as a pair (ids, loss mask)."""
        (sequence,) = self.example(index)
        return sequence

    def lengths(self) -> np.ndarray:
        """Return the number of tokens of each example, int64 [N]."""
        lengths = (self.spans[:, 2] - self.spans[:, 1]).reshape(-1, self.sequences_per_example)
        return np.asarray(lengths.sum(axis=1), dtype=np.int64)

    def tokens(self) -> int:
        """Return the number of tokens of all examples."""
        return int((self.spans[:, 2] - self.spans[:, 1]).sum())

    def targets(self) -> int:
        """Return how many tokens an epoch predicts: supervised, and not first in a sequence."""
        total = 0
        for part, start, end in self.spans.tolist():
            total += int(np.count_nonzero(self.parts[part][1][start + 1 : end]))
        return total

    def learnable(self) -> bool:
        """Return whether there is any token to predict."""
        return any(
            self.parts[part][1][start + 1 : end].any() for part, start, end in self.spans.tolist()
        )

    def digest(self) -> str:
        """Return a digest of all tokens and loss masks, to compare only losses on the same data."""
        digest = hashlib.sha256(str(self.sequences_per_example).encode())
        for number in range(len(self.spans)):
            input_ids, loss_mask = self._sequence(number)
            digest.update(len(input_ids).to_bytes(8, "big"))
            digest.update(np.ascontiguousarray(input_ids, np.int32).tobytes())
            digest.update(np.ascontiguousarray(loss_mask, bool).tobytes())
        return digest.hexdigest()[:16]

    def select(self, indices: np.ndarray) -> TokenSequences:
        """Return the examples with these indices; the arrays are shared."""
        spans = self.spans.reshape(-1, self.sequences_per_example, 3)[indices].reshape(-1, 3)
        return dataclasses.replace(self, spans=spans)

    def chunks(self, longest: int) -> TokenSequences:
        """Return the sequences cut into consecutive chunks of at most `longest` tokens.

        A chunk begins with the last token of the one before, so that every token that was
        predicted before is still predicted, exactly once.
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
        input_ids, loss_mask = self.parts[part]
        return input_ids[start:end], loss_mask[start:end]
