"""The interface of engines: scoring and generation with one checkpoint."""

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
    """0: the most probable token at every step; above 0: sampling."""
    top_p: float = 1.0
    """Sample from the most probable tokens that together have this probability."""
    stop: tuple[str, ...] = ()
    """Strings that end an answer, besides the model's stop tokens."""
    seed: int = 0


class Engine(Protocol):
    """An opened checkpoint, which the caller closes. Calls must come from a single thread."""

    stops: list[int]
    """Ids of the stop tokens."""

    def score_labels(
        self,
        rows: Sequence[Sequence[Tokens]],
        labels: Sequence[Tokens],
        advance: Callable[[int], None] = lambda rows: None,
        journal: Journal | None = None,
    ) -> LabelLogs:
        """Return the log-probability of each label as the next token of each prompt.

        `rows[row][question]` are the token ids of a prompt, `labels[question]` the ids to score.
        `advance` is called with numbers of finished rows; a `journal` of the same rows stores
        finished batches.
        """
        ...

    def generate(
        self,
        prompts: Sequence[Tokens],
        sampling: Sampling,
        advance: Callable[[int], None] = lambda answers: None,
    ) -> list[list[int]]:
        """Return the token ids of an answer to each prompt, with the stop token if it ended.

        `advance` is called with numbers of finished answers.
        """
        ...

    def random_state(self) -> str:
        """Return the random generator's state; empty if samples depend only on their seed."""
        ...

    def restore(self, random: str) -> None:
        """Continue from a state of the random generator."""
        ...

    def health(self) -> str:
        """Return what is wrong with the engine; empty if nothing is."""
        ...

    def figures(self) -> dict[str, float]:
        """Return metrics of the work to be recorded, such as the prefix cache's hit rate."""
        ...

    def close(self) -> None:
        """Release the model, or end the servers that were started."""
        ...
