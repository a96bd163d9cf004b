"""A token set: a data set tokenised for one tokenizer and chat template."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_data.dataset import within
from storm_exp import Artifact, InputError, Spec, referenced
from storm_models.checkpoint.spec import readable_count

if TYPE_CHECKING:
    from storm_training.data.token_sequences import TokenSequences

CHATS = "chats"
DOCUMENTS = "documents"
PREFERENCES = "preferences"
KINDS = (CHATS, DOCUMENTS, PREFERENCES)
"""What the examples are: chats, documents, or pairs of a chosen and a rejected answer."""
SIDES = ("chosen", "rejected")
"""The sequences of a pair, in order."""


@dataclasses.dataclass(kw_only=True)
class TokenSetSpec(Spec):
    """The properties of a token set that are known before it is made."""

    kind: str = ""
    """One of `KINDS`; empty when unknown."""
    tokenizer: str | None = None
    """Digest of the tokenizer that made the ids."""
    splits: dict[str, list[int]] | None = None
    """Examples per split as a closed interval [lowest, highest]."""
    tokens: dict[str, int] | None = None
    """Tokens per split, where they were counted or declared."""

    def agrees(self, field: str, planned: Any, made: Any) -> bool:
        """Return whether counts lie within their intervals; tokens were declared, or counted."""
        if field == "splits":
            return within(planned, made)
        return field == "tokens" or super().agrees(field, planned, made)

    def summary(self) -> str:
        """Return, for example, `train 2000 chats, 61.3 K tokens`."""
        if self.splits is None or "train" not in self.splits:
            return self.kind
        low, high = self.splits["train"]
        count = f"{low}" if low == high else f"{low}–{high}"
        tokens = (self.tokens or {}).get("train")
        text = f"train {count} {self.kind}".rstrip()
        return text if tokens is None else f"{text}, {readable_count(tokens)} tokens"


class TokenSet(Artifact):
    """Examples as token ids, per split, in flat files that are read through memory maps.

    `tokens.json` describes them. The split `train` is train.input_ids.bin (int32),
    train.loss_mask.bin (a byte per token: 1 where it is supervised) and train.spans.bin (int64
    triples: part, start, end). train.dropped.jsonl lists the rows that were left out, with the
    reason. A mixture has spans only, into the ids of the token sets that it refers to.
    """

    spec_type = TokenSetSpec

    def content(self) -> dict[str, Any]:
        """Return tokens.json; raises InputError when it is missing or damaged."""
        file = self.directory / "tokens.json"
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            assert content["kind"] in KINDS
        except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
            raise InputError(f"{file}: not tokenised data ({error!r})") from error
        if "sequences_per_example" not in content:
            raise InputError(
                f"{file}: written by an older version; delete the artifact to remake it"
            )
        return dict(content)

    def count(self, split: str) -> int:
        """Return the number of examples of a split, 0 when it does not exist."""
        return int(self.content()["splits"].get(split, {}).get("examples", 0))

    def dropped(self, split: str) -> dict[str, int]:
        """Return the numbers of rows that could not become examples, by reason."""
        return dict(self.content()["splits"].get(split, {}).get("dropped", {}))

    def ends(self) -> dict[int, int]:
        """Return {token id: how often it is the last of an answer}; empty for documents."""
        content = self.content()
        counts: Counter[int] = Counter()
        for key in content["parts"]:
            counts.update(TokenSet(referenced(self, key), key).ends())
        for token, count in content.get("ends", {}).items():
            counts[int(token)] += count
        return dict(counts)

    def sequences(self, split: str) -> TokenSequences:
        """Return a split's examples, memory-mapped; raises InputError for an unknown split."""
        import numpy as np

        from storm_training.data.token_sequences import TokenSequences

        content = self.content()
        if split not in content["splits"]:
            names = ", ".join(sorted(content["splits"])) or "none"
            raise InputError(f"{self.directory}: no split '{split}' (there are: {names})")
        spans = np.fromfile(self.directory / f"{split}.spans.bin", dtype=np.int64).reshape(-1, 3)
        folders = [referenced(self, key) for key in content["parts"]] or [self.directory]
        parts = [
            (
                _mapped(folder / f"{split}.input_ids.bin", np.int32),
                _mapped(folder / f"{split}.loss_mask.bin", bool),
            )
            for folder in folders
        ]
        return TokenSequences(parts, spans, content["sequences_per_example"])

    def spec(self) -> TokenSetSpec:
        """Read the counts."""
        content = self.content()
        splits = content["splits"]
        return TokenSetSpec(
            kind=content["kind"],
            tokenizer=content["tokenizer"],
            splits={name: [split["examples"]] * 2 for name, split in splits.items()},
            tokens={name: split["tokens"] for name, split in splits.items()},
        )


def _mapped(file: Path, dtype: Any) -> Any:
    import numpy as np

    if not file.is_file() or file.stat().st_size == 0:
        return np.zeros(0, dtype=dtype)
    return np.memmap(file, dtype=dtype, mode="r")
