"""The field of a race: its cells, what they were measured at, and which were dropped."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from storm_evaluation.race.answers import read_answers
from storm_evaluation.race.best_guess import best_guess
from storm_evaluation.race.elimination import Elimination
from storm_evaluation.race.ladder import Rung
from storm_exp import StageError
from storm_exp.report import CellRecord, RunRecord
from storm_report.interim import is_interim
from storm_report.sweep_notes import SweepNotes
from storm_report.whereabouts import command_of, unmade

LEFT, DROPPED, FAILED = "left", "dropped", "failed"


@dataclasses.dataclass
class Runner:
    """A cell of a race."""

    name: str
    words: list[str]
    """Its overrides, without seeds and limits."""
    outcome: str = LEFT
    reason: str = ""
    """Why it was dropped."""
    rung: Rung | None = None
    """The last one at which it was measured."""
    score: float | None = None
    guess: float = 0.0
    """The score, drawn to those of cells with the same settings."""
    command: str = ""
    """The command that runs it by itself, as it was measured last."""


class Field:
    """All cells of a race, of which fewer are left at each rung."""

    def __init__(
        self, runners: Sequence[Runner], rungs: Sequence[Rung], error: float, run_sd: float
    ) -> None:
        """Begin with all of them."""
        self.runners, self._rungs = list(runners), list(rungs)
        self._test = Elimination(
            cells=len(self.runners), rungs=len(self._rungs), error=error, run_sd=run_sd
        )
        self.reached: Rung | None = None
        """The last rung that was run."""

    @property
    def left(self) -> list[Runner]:
        """The cells that were not dropped, the best one first once they were measured.

        Those that the last rung did not measure, as the hours were short, come after the others.
        """
        left = [runner for runner in self.runners if runner.outcome == LEFT]
        if self.reached is None:
            return left
        return sorted(left, key=lambda r: (r.rung != self.reached, -r.guess))

    @property
    def finalists(self) -> list[Runner]:
        """The cells that are left and that the last rung measured."""
        return [runner for runner in self.left if runner.rung == self.reached]

    def measure(self, rung: Rung, runners: Sequence[Runner], run: RunRecord) -> list[str]:
        """Drop those that failed at a rung or are worse than the leader; return who and why.

        `run` has the cells of these runners, with `rung.seeds` seeds each. Raises StageError where
        none is left.
        """
        self.reached = rung
        cells = iter(run.cells)
        found: list[tuple[Runner, list[Path]]] = []
        before = {id(runner) for runner in self.left}
        for runner in runners:
            own = [next(cells) for _ in range(rung.seeds)]
            runner.rung, runner.command = rung, command_of(run, own[0])
            folders = [_evaluation(cell) for cell in own]
            known = [folder for folder in folders if folder is not None]
            if len(known) < len(folders):
                runner.outcome, runner.reason = FAILED, _failure(own)
            else:
                found.append((runner, known))
        if not found:
            reasons = dict.fromkeys(runner.reason for runner in runners)
            raise StageError(f"no cell of the race came through: {'; '.join(reasons)}")
        self._judge([runner for runner, _ in found], [folders for _, folders in found])
        gone = [runner for runner in runners if runner.outcome != LEFT and id(runner) in before]
        return [f"{runner.outcome}: {runner.name}, {runner.reason}" for runner in gone]

    def _judge(self, runners: list[Runner], folders: list[list[Path]]) -> None:
        verdicts = self._test.judge(read_answers(folders), np.ones(len(runners), bool))
        leader = runners[int(verdicts.leader)]
        known = [runner for runner, left in zip(runners, verdicts.left, strict=True) if left]
        noise = float(verdicts.variance[verdicts.left].max()) / 2
        words = [runner.words for runner in known]
        guesses = best_guess(verdicts.scores[verdicts.left], noise, words)
        for runner, guess in zip(known, guesses, strict=True):
            runner.guess = float(guess)
        for position, runner in enumerate(runners):
            runner.score = float(verdicts.scores[position])
            if not verdicts.left[position]:
                difference = float(verdicts.difference[position])
                bound = difference + float(verdicts.half_width[position])
                runner.outcome = DROPPED
                runner.reason = (
                    f"{difference:+.3f} to {leader.name}, at most {bound:+.3f} (p < "
                    f"{self._test.tail:.1g})"
                )

    def notes(self, hours: float, stopped: str) -> SweepNotes:
        """Return what the report says of the race; `stopped` says why it ended early."""
        order = {LEFT: 0, DROPPED: 1, FAILED: 2}
        gone = [runner for runner in self.runners if runner.outcome != LEFT]
        places = {rung: place for place, rung in enumerate(self._rungs)}
        gone.sort(key=lambda r: (order[r.outcome], -places[r.rung] if r.rung else 0))
        rows = [
            [
                runner.name,
                runner.outcome,
                str(runner.rung),
                "" if runner.score is None else f"{runner.score:.4g}",
                runner.reason,
            ]
            for runner in [*self.left, *gone]
        ]
        test = self._test
        shortened = any(rung.steps for rung in self._rungs)
        leader, *ties = self.left
        lines = [
            f"dropped  {runner.name} at {runner.rung}: {runner.reason}"
            if runner.outcome == DROPPED
            else f"failed   {runner.name} at {runner.rung}: {runner.reason}"
            for runner in gone
        ]
        lines.append(
            f"race     {len(self.runners)} cells, {len(self.left)} left after {self.reached}, "
            f"{hours:.2f} hours{stopped}"
        )
        if ties:
            lines.append(
                f"         the test does not tell these apart from {leader.name}, the best guess"
            )
        else:
            lines.append(f"winner   {leader.name}, the only one left: {leader.command}")
        return SweepNotes(
            title="Race",
            caption=(
                f"{len(rows)} cells{stopped}. A cell is dropped where a paired test says that it "
                f"is worse than the leader; the best one is dropped in at most {test.error:.0%} "
                f"of races, where a cell's runs vary by a standard deviation of {test.run_sd:g}. "
                + ("Rungs of fewer training steps are outside of this. " if shortened else "")
                + "Scores of different rungs are over different questions or seeds. The first cell "
                "is the best guess: what noise explains of a score is left out, and a setting is "
                "worth what it is in all cells that share it."
            ),
            header=["cell", "", "measured last at", "score", "difference to the leader"],
            rows=rows,
            lines=lines,
        )


def _evaluation(cell: CellRecord) -> Path | None:
    """Return the folder of a cell's last evaluation, None where a stage is missing."""
    found = [stage for stage in cell.of_type("Evaluation") if not is_interim(stage)]
    return Path(found[-1].directory) if found and not unmade(cell) else None


def _failure(cells: Sequence[CellRecord]) -> str:
    errors = [stage.error for cell in cells for stage in cell.stages if stage.error]
    return errors[0].splitlines()[0] if errors else "it has no evaluation"
