"""What a model loses with each run of neighbouring layers."""

from __future__ import annotations

import dataclasses
from typing import Any, TypedDict

from storm_exp import Artifact, Spec
from storm_models.folder.json_file import read_json


class AnswerScore(TypedDict):
    """How well a model foretells answers that it is shown (teacher forcing)."""

    loss: float
    """Mean over answer tokens of the negative log-likelihood, in nats; exp of it: perplexity."""
    token_accuracy: float
    """Share of the answer tokens that are the most probable ones in their place."""
    exact_match: float
    """Share of the answers of which every token is: what greedy decoding would have written."""


class Candidate(AnswerScore):
    """A run of layers, and how the model scores without it."""

    first: int
    """The first layer that is left out, from 0."""
    count: int
    """Number of layers left out."""


@dataclasses.dataclass(kw_only=True)
class BlockImportanceSpec(Spec):
    """What is known before a row is read."""

    shapes: str | None = None
    """The `shapes` digest of the checkpoint that it belongs to."""
    layers: int | None = None
    counts: list[int] | None = None
    """Numbers of layers whose removal is tried."""

    def summary(self) -> str:
        """Return, for example, `runs of 2, 4 of 32 layers`."""
        if self.counts is None or self.layers is None:
            return ""
        tried = ", ".join(map(str, self.counts))
        return f"runs of {tried} of {self.layers} layers" if tried else f"{self.layers} layers"


class BlockImportance(Artifact):
    """`blocks.json`: the score of the whole model, of every candidate, and the block influence.

    `influence[first][count - 1]` is the mean over tokens of 1 - cos(x, y), x what enters the layer
    `first` and y what leaves the layer `first + count - 1` (Men et al. 2024, arXiv 2403.03853, for
    one layer; Gromov et al. 2024, arXiv 2403.17887, for runs).
    """

    spec_type = BlockImportanceSpec

    def content(self) -> dict[str, Any]:
        """Return the file's content; raises InputError when it is missing or damaged."""
        return read_json(self.directory / "blocks.json")

    def spec(self) -> BlockImportanceSpec:
        """Read shapes digest, number of layers and what was tried."""
        content = self.content()
        return BlockImportanceSpec(
            shapes=content["shapes"], layers=content["layers"], counts=content["counts"]
        )
