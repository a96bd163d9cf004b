"""The hours that a race may take, and what its next rung will take."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp import ComposeError, Plan

if TYPE_CHECKING:
    from storm_exp.report import StageRecord

_GROWTH = 4
"""How many times as many questions "all" are, where nothing is known of it."""


class Budget:
    """Hours of the stages that a race makes: those spent, also before it was killed, and the limit.

    Stages are expected to take as long as others of their component did in this race, evaluations
    in proportion to their questions; before there is one, as long as the plan's estimate says.
    """

    def __init__(self, hours: float | None, file: Path) -> None:
        """Take the limit, None for none; what is spent is kept in a file.

        Raises ComposeError for one that cannot be read.
        """
        self.hours, self._file = hours, file
        self.spent = 0.0
        self._seconds: dict[str, list[float]] = {}
        self._questions: int | None = None
        if file.is_file():
            try:
                self.spent = float(json.loads(file.read_text(encoding="utf-8"))["hours"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                problem = "it cannot be read; remove it, and the race counts its hours anew"
                raise ComposeError(f"what a race has spent, {file}: {problem}") from error

    def note(self, stages: Iterable[StageRecord], questions: int | None) -> None:
        """Note what a rung took, whose evaluations had this many questions a task."""
        self._questions = questions
        latest: dict[str, list[float]] = {}
        for stage in stages:
            if stage.seconds is not None:
                latest.setdefault(stage.component, []).append(stage.seconds)
            if stage.seconds is not None and stage.status == "made":
                self.spent += stage.seconds / 3600
        self._seconds |= latest
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")  # a race that is killed here leaves it whole
        part.write_text(json.dumps({"hours": self.spent}), encoding="utf-8")
        part.replace(self._file)

    def expected(self, plan: Plan, questions: int | None) -> float:
        """Return the hours that a plan's missing stages will take, as far as they are known."""
        from storm_models.estimate.estimate import Estimate

        estimate = Estimate(plan)
        known = {node.key: estimate.hours(cost) for node, cost in estimate.costs}
        hours = 0.0
        for node in plan.to_make():
            taken = self._seconds.get(node.component.name)
            if not taken:
                hours += known.get(node.key, 0.0)
                continue
            more = 1.0
            if node.component.output.__name__ == "Evaluation" and self._questions is not None:
                more = questions / self._questions if questions is not None else _GROWTH
            hours += more * sum(taken) / len(taken) / 3600
        return hours

    def allows(self, hours: float) -> bool:
        """Return whether there is time for a rung that will take some hours."""
        return self.hours is None or hours == 0 or self.spent + hours <= self.hours
