"""The sweeper `race`: cells are dropped as soon as a test says that they are worse than the leader.

Annotations are not postponed here: Hydra executes this module before it is in `sys.modules`, and
dataclasses look postponed annotations up there.
"""

import bisect
import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.storm_exp_hydra.budget import Budget
from hydra_plugins.storm_exp_hydra.rounds import RoundsSweeper, Words
from hydra_plugins.storm_exp_hydra.sweeper import CellsSweeperConf
from storm_exp import ComposeError, make_plan
from storm_exp._run.console import say

if TYPE_CHECKING:
    from storm_evaluation.race.field import Runner
    from storm_evaluation.race.ladder import Rung


@dataclass
class RaceSweeperConf(CellsSweeperConf):
    """The settings of a race; its cells and seeds are those of a grid."""

    _target_: str = "hydra_plugins.storm_exp_hydra.race.RaceSweeper"
    error: float = 0.05
    """The chance that the best cell is dropped."""
    run_sd: float = 0.01
    """The standard deviation over runs that a single seed must reckon with."""
    questions: list[int] = field(default_factory=lambda: [25, 100])
    """Questions of each task in the first rungs; all of them follow."""
    steps: list[int] = field(default_factory=list)
    """Training steps in rungs before these, to which the guarantee does not apply."""
    steps_of: str = "finetuner"
    """The stage that trains for these steps."""
    hours: float | None = None
    """The most hours of the stages that are made; null: no limit."""


ConfigStore.instance().store(
    group="hydra/sweeper", name="race", node=RaceSweeperConf, provider="storm-exp"
)


class RaceSweeper(RoundsSweeper):
    """Sweeper that runs all cells on a few questions, then those that are left on more."""

    def __init__(
        self,
        error: float,
        run_sd: float,
        questions: Any,
        steps: Any,
        steps_of: str,
        hours: float | None,
        **rest: Any,
    ) -> None:
        """Take the settings of RaceSweeperConf; raises ComposeError for impossible ones."""
        super().__init__(**rest)
        self._error, self._run_sd, self._hours = error, run_sd, hours
        self._questions = [int(count) for count in questions]
        self._steps, self._trained = [int(count) for count in steps], steps_of
        rising = _rise([1, *self._questions])
        longer = _rise([0, *self._steps])
        for name, value, fits, problem in (
            ("error", error, 0 < error < 0.5, "must be above 0 and below 0.5"),
            ("run_sd", run_sd, 0 <= run_sd < math.inf, "must be at least 0"),
            ("questions", self._questions, rising, "must rise, from 2 or more"),
            ("steps", self._steps, longer, "must rise, from 1 or more"),
            ("hours", hours, hours is None or hours > 0, "must be above 0"),
        ):
            if not fits:
                raise ComposeError(f"hydra.sweeper.{name}={value}: {problem}")

    def sweep(self, arguments: list[str]) -> Any:
        """Race, and run the cells that are left as one sweep."""
        from storm_evaluation.race.field import Field, Runner
        from storm_evaluation.race.ladder import ladder

        cells = self._read(arguments)
        rungs = ladder(self._questions, len(self._seeds), self._steps)
        store = self._look([*cells[0], *self._seeds[0]])
        runners = [Runner(name, words) for name, words in zip(_names(cells), cells, strict=True)]
        if self.only_shown:
            assert self.launcher is not None
            return [self.launcher.launch(self._words(runners, rungs[0]), initial_job_idx=0)]
        same: list[Any] = [cells, self._seeds, self._error, self._run_sd, self._questions]
        same += [self._steps, self._trained] if self._steps else []
        digest = hashlib.sha256(json.dumps(same).encode()).hexdigest()[:12]
        budget = Budget(self._hours, store / "races" / f"{digest}.json")
        field, stopped = Field(runners, rungs, self._error, self._run_sd), ""
        for rung in rungs:
            if len(left := field.left) < 2 and rung.steps:
                continue
            hours = self._expected(left, rung, budget)
            if not budget.allows(hours):
                stopped = stopped or f"; {rung} would have taken {hours:.2g} hours more"
                if field.reached is None:
                    given = f"hydra.sweeper.hours={self._hours:g}"
                    raise ComposeError(f"{given}: the first rung takes about {hours:.2g}")
                if rung.questions is not None or rung.steps:
                    continue  # for the same hours, fewer cells are asked everything
                left = self._affordable(left, rung, budget)
                if len(left) < 2:
                    break
                stopped += f"; {rung} was run for the {len(left)} best"
            say(f"  race: {len(left)} of {len(cells)} cells, {rung}")
            record = self.launch(self._words(left, rung))
            budget.note(record.stages(), rung.questions)
            for line in field.measure(rung, left, record):
                say(f"  {line}")
            if stopped or (len(field.left) < 2 and not rung.steps):
                break
        assert field.reached is not None
        notes = field.notes(budget.spent, stopped)
        return self.launch(self._words(field.finalists, field.reached), notes)

    def _expected(self, runners: "Sequence[Runner]", rung: "Rung", budget: Budget) -> float:
        """Return the hours that a rung will take for some cells."""
        return budget.expected(make_plan(self.compose(self._words(runners, rung))), rung.questions)

    def _affordable(self, runners: "list[Runner]", rung: "Rung", budget: Budget) -> "list[Runner]":
        """Return as many of the first cells as there are hours for; what they share counts once."""
        fits = bisect.bisect_left(
            range(1, len(runners)),
            True,
            key=lambda count: not budget.allows(self._expected(runners[:count], rung, budget)),
        )
        return runners[:fits]

    def _read(self, arguments: list[str]) -> list[Words]:
        """Return the cells without their seeds; raises ComposeError for fewer than two."""
        from storm_report.run_table import is_seed

        overrides = {each.get_key_element(): each for each in self.parse(arguments)}
        swept = [
            name
            for name, each in overrides.items()
            if is_seed(name.lstrip("+")) and each.is_sweep_override()
        ]
        seeds = self.split_arguments([overrides.pop(name) for name in swept], None)
        self._seeds: list[Words] = seeds[0]
        (cells,) = self.split_arguments(list(overrides.values()), None)
        cells = [list(cell) for cell in dict.fromkeys(map(tuple, cells))]
        if len(cells) < 2:
            raise ComposeError(
                "a race has two cells or more: give a setting several values, as in "
                "merger.t=0.25,0.5,0.75"
            )
        return cells

    def _look(self, cell: Words) -> Path:
        """Look at the evaluators of a cell; return the folder of its store.

        Raises ComposeError where none can be asked fewer questions.
        """
        from storm_report.interim import INTERIM

        (composed,) = self.compose([cell])
        stages = make_plan([composed]).cells[0].recipe.stages
        limits = {
            name: stage.settings.limit
            for name, stage in stages.items()
            if stage.component.output.__name__ == "Evaluation"
            and hasattr(stage.settings, "limit")
            and not name.endswith(INTERIM)
        }
        if not limits:
            raise ComposeError(
                "a race needs an evaluator with the setting `limit`, by which its first rungs ask "
                "fewer questions, and this recipe has none"
            )
        for name, limit in limits.items():
            if limit is not None and self._questions and self._questions[-1] >= limit:
                raise ComposeError(
                    f"hydra.sweeper.questions={self._questions}: {name}.limit={limit} asks no more"
                )
        if self._steps:
            self._look_at_training(stages)
        self._evaluators = list(limits)
        return Path(str(composed.config.store.path)).expanduser()

    def _look_at_training(self, stages: Mapping[str, Any]) -> None:
        """Raise ComposeError for a stage that cannot train for fewer steps."""
        known = {
            name: steps
            for name, stage in stages.items()
            if (steps := getattr(stage.settings, "steps", None)) is not None
        }
        if self._trained not in known:
            raise ComposeError(
                f"hydra.sweeper.steps_of={self._trained}: this recipe has no such stage with a "
                f"number of steps; {', '.join(known) or 'none'} has one"
            )
        if self._steps[-1] >= known[self._trained]:
            given = f"{self._trained}.steps={known[self._trained]}"
            raise ComposeError(f"hydra.sweeper.steps={self._steps}: {given} trains no longer")

    def _words(self, runners: "Sequence[Runner]", rung: "Rung") -> list[Words]:
        """Return the overrides of the cells of a rung, those of a runner one after the other."""
        asked = [] if rung.questions is None else [rung.questions]
        limits = [f"{name}.limit={count}" for name in self._evaluators for count in asked]
        limits += [f"{self._trained}.steps={rung.steps}"] if rung.steps else []
        seeds = self._seeds[: rung.seeds]
        return [[*runner.words, *limits, *seed] for runner in runners for seed in seeds]


def _names(cells: list[Words]) -> list[str]:
    """Return what tells each cell apart."""
    shared = set(cells[0]).intersection(*cells[1:])
    return [" ".join(word for word in cell if word not in shared) for cell in cells]


def _rise(numbers: Sequence[int]) -> bool:
    """Return whether each number is above the one before."""
    return all(a < b for a, b in itertools.pairwise(numbers))
