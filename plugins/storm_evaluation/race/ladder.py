"""The rungs of a race: fewer training steps if wanted, then more questions, then more seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Rung:
    """What every cell that is left is measured by."""

    questions: int | None
    """The first ones of each task; None: all that the recipe asks."""
    seeds: int
    """How many of the seeds that were given, from the first."""
    steps: int | None = None
    """Training steps, fewer than the recipe's; None: as many."""

    def __str__(self) -> str:
        asked = "all questions" if self.questions is None else f"{self.questions} questions a task"
        trained = f"{self.steps} steps, " if self.steps else ""
        return f"{trained}{asked}, {self.seeds} seed{'s' if self.seeds > 1 else ''}"


def ladder(questions: Sequence[int], seeds: int, steps: Sequence[int] = ()) -> list[Rung]:
    """Return the rungs: these numbers of questions and then all, with one seed; then more seeds.

    Seeds double from rung to rung, up to all of them. Before these, rungs with fewer training
    `steps` ask the last of the numbers of questions.
    """
    last = questions[-1] if questions else None
    rungs = [Rung(last, 1, trained) for trained in steps]
    rungs += [*(Rung(count, 1) for count in questions), Rung(None, 1)]
    while rungs[-1].seeds < seeds:
        rungs.append(Rung(None, min(2 * rungs[-1].seeds, seeds)))
    return rungs
