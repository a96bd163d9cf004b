"""The interface of everything that answers for one checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

from storm_inference.journal import Journal

Tokens = Sequence[int]
LabelLogs = list[list[list[float]]]
"""Natural log-probabilities over the whole vocabulary, `[row][question][label]`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the tokens of an answer are chosen, and where it ends."""

    max_new_tokens: int
    temperature: float = 0.0
    """0 takes the most probable token at every step; above 0 draws."""
    top_p: float = 1.0
    """Draws among the most probable tokens that have this probability together."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer, beside the tokens at which the model stops."""
    seed: int = 0


class Engine(Protocol):
    """Answers for one checkpoint, which was read once; to be closed.

    An engine may be asked from one thread, as often as one likes.
    """

    stops: list[int]
    """The tokens at which answers end."""

    def score_labels(
        self,
        rows: Sequence[Sequence[Tokens]],
        labels: Sequence[Tokens],
        advance: Callable[[int], None] = lambda rows: None,
        journal: Journal | None = None,
    ) -> LabelLogs:
        """Return how probable each label is as the next token of each prompt.

        `rows[row][question]` are the token ids of a prompt, `labels[question]` the ids to look at.
        `advance` hears of finished rows; a `journal` of the same rows keeps batches.
        """
        ...

    def generate(self, prompts: Sequence[Tokens], sampling: Sampling) -> list[list[int]]:
        """Return the tokens of an answer to each prompt, which end in a stop if it ended."""
        ...

    def random_state(self) -> str:
        """Return the state of what draws tokens; empty where a draw follows from its seed alone."""
        ...

    def restore(self, random: str) -> None:
        """Draw on from a state."""
        ...

    def health(self) -> str:
        """Return what is wrong with it, empty where nothing is."""
        ...

    def figures(self) -> dict[str, float]:
        """Return what is to be recorded of the work, such as the share of prefix hits."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...
