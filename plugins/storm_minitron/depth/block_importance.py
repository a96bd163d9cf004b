"""The artifact of a scan of depth: scores of a model without each run of consecutive layers."""

from __future__ import annotations

import dataclasses
from typing import Any, TypedDict

from storm_exp import Artifact, Spec
from storm_models.folder.json_file import read_json


class AnswerScore(TypedDict):
    """How well a model predicts given answers (teacher forcing)."""

    loss: float
    """Mean negative log-likelihood of the answer tokens, in nats (the log of perplexity)."""
    token_accuracy: float
    """Share of the answer tokens that are the most probable ones at their position."""
    exact_match: float
    """Share of the answers all of whose tokens are, so that greedy decoding would write them."""


class Candidate(AnswerScore):
    """A run of layers, and the model's score without it."""

    first: int
    """The first removed layer, counted from 0."""
    count: int
    """Number of removed layers."""


@dataclasses.dataclass(kw_only=True)
class BlockImportanceSpec(Spec):
    """The properties of a scan that are known before it runs."""

    shapes: str | None = None
    """The `shapes` digest of the scanned checkpoint."""
    layers: int | None = None
    counts: list[int] | None = None
    """Lengths of the runs whose removal is scored."""

    def summary(self) -> str:
        """Return, for example, `runs of 2, 4 of 32 layers`."""
        if self.counts is None or self.layers is None:
            return ""
        tried = ", ".join(map(str, self.counts))
        return f"runs of {tried} of {self.layers} layers" if tried else f"{self.layers} layers"


class BlockImportance(Artifact):
    """`blocks.json`: the score of the whole model, of every candidate, and the block influence.

    `influence[first][count - 1]` is the mean over tokens of 1 - cos(x, y), with x the input of
    layer `first` and y the output of layer `first + count - 1` (Men et al. 2024, arXiv 2403.03853,
    for one layer; Gromov et al. 2024, arXiv 2403.17887, for runs).
    """

    spec_type = BlockImportanceSpec

    def content(self) -> dict[str, Any]:
        """Return the file's content; raises InputError when it is missing or damaged."""
        return read_json(self.directory / "blocks.json")

    def spec(self) -> BlockImportanceSpec:
        """Read the shapes digest, the number of layers and the lengths of runs."""
        content = self.content()
        return BlockImportanceSpec(
            shapes=content["shapes"], layers=content["layers"], counts=content["counts"]
        )
