"""A teacher's k most likely tokens at every supervised position, with their log-probabilities."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from storm_exp import Artifact, InputError, Spec

if TYPE_CHECKING:
    import numpy as np

    from storm_training.data.token_set import TokenSet
    from storm_training.losses import TopK


@dataclasses.dataclass(kw_only=True)
class TopKLogitsSpec(Spec):
    """The properties of a teacher's stored answers that are known before they are computed."""

    tokenizer: str | None = None
    """Digest of the tokenizer that the examples were tokenised with."""
    k: int | None = None
    """Tokens stored for every position."""

    def summary(self) -> str:
        """Return, for example, `top 256`."""
        return f"top {self.k}" if self.k else ""


class TopKLogits(Artifact):
    """Per split: train.ids.bin (int32 [n, k]), train.scores.bin (fp32 [n, k + 1]: the tokens'
    log-probabilities, and that of all others together), and train.ends.bin (int64: where the
    positions of each example end)."""

    spec_type = TopKLogitsSpec

    def content(self) -> dict[str, Any]:
        """Return answers.json."""
        return dict(json.loads((self.directory / "answers.json").read_text(encoding="utf-8")))

    def open(self, split: str, tokens: TokenSet) -> StoredAnswers | None:
        """Return a split's answers, memory-mapped, or None when the split does not exist.

        Raises InputError when they belong to another token set than `tokens`.
        """
        content = self.content()
        if content["tokens"] != tokens.key:
            raise InputError("the teacher answered other examples than those of this token set")
        if not (self.directory / f"{split}.ends.bin").is_file():
            return None
        return StoredAnswers(self, split, int(content["k"]), int(content["rows"]))

    def spec(self) -> TopKLogitsSpec:
        """Read k and the tokenizer's digest."""
        content = self.content()
        return TopKLogitsSpec(tokenizer=content["tokenizer"], k=content["k"])


class StoredAnswers:
    """The answers of one split, read example by example."""

    def __init__(self, answers: TopKLogits, split: str, k: int, rows: int) -> None:
        """Map the files of `split`; `rows` is the number of rows of the teacher's head."""
        import numpy as np

        self.rows = rows
        folder = answers.directory
        self._ends = np.fromfile(folder / f"{split}.ends.bin", dtype=np.int64)
        self._ids = np.memmap(folder / f"{split}.ids.bin", dtype=np.int32, mode="r").reshape(-1, k)
        scores = np.memmap(folder / f"{split}.scores.bin", dtype=np.float32, mode="r")
        self._scores = scores.reshape(-1, k + 1)

    def read(self, examples: np.ndarray) -> TopK:
        """Return the answers at the supervised positions of some examples, concatenated."""
        import numpy as np
        import torch

        from storm_training.losses import TopK

        positions = np.concatenate(
            [
                np.arange(self._ends[index - 1] if index else 0, self._ends[index])
                for index in examples
            ]
        )
        scores = torch.from_numpy(self._scores[positions])
        ids = torch.from_numpy(self._ids[positions].astype(np.int64))
        return TopK(ids, scores[:, :-1], scores[:, -1])
