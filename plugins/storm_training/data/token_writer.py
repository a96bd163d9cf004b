"""Writing the files of a token set, example by example, in bounded memory."""

from __future__ import annotations

import collections
import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from storm_training.data.token_set import TokenSet

TokenSequence = tuple[Sequence[int], Sequence[bool] | None]


class SplitWriter:
    """Writes the files of one split of a token set."""

    def __init__(self, directory: Path, split: str, sequences_per_example: int = 1) -> None:
        """`sequences_per_example` is the number of sequences in an example."""
        self._sequences_per_example = sequences_per_example
        self._input_ids = (directory / f"{split}.input_ids.bin").open("wb")
        self._loss_mask = (directory / f"{split}.loss_mask.bin").open("wb")
        self._spans = (directory / f"{split}.spans.bin").open("wb")
        self._reasons = (directory / f"{split}.dropped.jsonl").open("w", encoding="utf-8")
        self.examples = self.tokens = self.supervised = self.longest = 0
        self.sources: collections.Counter[str] = collections.Counter()
        self.dropped: collections.Counter[str] = collections.Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stream in (self._input_ids, self._loss_mask, self._spans, self._reasons):
            stream.close()

    def add(self, sequences: Sequence[TokenSequence], source: str = "") -> None:
        """Append an example; a mask of None supervises every token."""
        assert len(sequences) == self._sequences_per_example
        spans, length = [], 0
        for input_ids, mask in sequences:
            start = self.tokens + length
            length += len(input_ids)
            spans += [0, start, start + len(input_ids)]
            loss_mask = np.ones(len(input_ids), bool) if mask is None else np.asarray(mask, bool)
            assert len(loss_mask) == len(input_ids)
            self._input_ids.write(np.asarray(input_ids, dtype=np.int32).tobytes())
            self._loss_mask.write(loss_mask.tobytes())
            self.supervised += int(np.count_nonzero(loss_mask[1:]))
        self._spans.write(np.array(spans, dtype=np.int64).tobytes())
        self.examples += 1
        self.tokens += length
        self.longest = max(self.longest, length)
        self.sources[source] += length

    def drop(self, row: str, reason: str) -> None:
        """Record a row of the data set that is left out, with the reason."""
        self.dropped[reason] += 1
        self._reasons.write(json.dumps({"id": row, "reason": reason}, ensure_ascii=False) + "\n")

    def spec(self) -> dict[str, Any]:
        """Return the split's entry in tokens.json."""
        return {
            "examples": self.examples,
            "tokens": self.tokens,
            "supervised": self.supervised,
            "longest": self.longest,
            "dropped": dict(sorted(self.dropped.items())),
            "sources": dict(sorted(self.sources.items())),
        }


def write_content(
    directory: Path,
    kind: str,
    tokenizer: str,
    splits: dict[str, dict[str, Any]],
    *,
    sequences_per_example: int = 1,
    parts: Sequence[str] = (),
    **further: Any,
) -> TokenSet:
    """Write tokens.json into `directory`, and return the token set there."""
    content = {
        "kind": kind,
        "tokenizer": tokenizer,
        "sequences_per_example": sequences_per_example,
        "parts": list(parts),
        "splits": splits,
        **further,
    }
    (directory / "tokens.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return TokenSet(directory)
