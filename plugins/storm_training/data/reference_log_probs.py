"""Log-probabilities of both answers of every preference pair under a reference model."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from storm_exp import Artifact, InputError, Spec

if TYPE_CHECKING:
    import torch

    from storm_training.data.token_set import TokenSet


@dataclasses.dataclass(kw_only=True)
class ReferenceLogProbsSpec(Spec):
    """The scores' properties that are known before they are computed."""

    tokenizer: str | None = None
    """Digest of the tokenizer that the pairs were tokenised with."""


class ReferenceLogProbs(Artifact):
    """log p(answer | prompt) under a reference model.

    Per split a file such as train.scores.bin, fp32 [pairs, 2] (chosen, rejected), in the order of
    the token set that `scores.json` names.
    """

    spec_type = ReferenceLogProbsSpec

    def read(self, split: str, tokens: TokenSet) -> torch.Tensor | None:
        """Return a split's scores, fp32 [pairs, 2], or None when the split does not exist.

        Raises InputError when they belong to another token set than `tokens`.
        """
        import numpy as np
        import torch

        content = json.loads((self.directory / "scores.json").read_text(encoding="utf-8"))
        if content["tokens"] != tokens.key:
            raise InputError("the reference scored other pairs than those of this token set")
        file = self.directory / f"{split}.scores.bin"
        if not file.is_file():
            return None
        scores = torch.from_numpy(np.fromfile(file, dtype=np.float32)).view(-1, 2)
        count = tokens.count(split)
        if len(scores) != count:
            raise InputError(f"{file}: {len(scores)} pairs, the token set has {count}")
        return scores

    def spec(self) -> ReferenceLogProbsSpec:
        """Read the tokenizer's digest."""
        content = json.loads((self.directory / "scores.json").read_text(encoding="utf-8"))
        return ReferenceLogProbsSpec(tokenizer=content["tokenizer"])
