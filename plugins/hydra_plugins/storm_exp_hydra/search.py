"""The sweeper `optuna`: a search of settings, in batches that are planned as one.

Annotations are not postponed here: Hydra executes this module before it is in `sys.modules`, and
dataclasses look postponed annotations up there.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.storm_exp_hydra.objectives import MAXIMIZE, MINIMIZE, Objective, failure_of
from hydra_plugins.storm_exp_hydra.rounds import RoundsSweeper
from hydra_plugins.storm_exp_hydra.search_notes import search_notes
from hydra_plugins.storm_exp_hydra.search_space import Point, SearchSpace
from hydra_plugins.storm_exp_hydra.sweeper import MOST_CELLS, CellsSweeperConf
from storm_exp import ComposeError, PlanError, StageError, make_plan
from storm_exp._run.console import say

if TYPE_CHECKING:
    from hydra_plugins.storm_exp_hydra.study import Study
    from storm_exp.report import CellRecord


@dataclass
class SearchSweeperConf(CellsSweeperConf):
    """The settings of a search; the space stands on the command line, or in `params`."""

    _target_: str = "hydra_plugins.storm_exp_hydra.search.SearchSweeper"
    sampler: str = "tpe"
    """tpe, random, qmc, gp, nsgaii or nsgaiii."""
    options: dict[str, Any] = field(default_factory=dict)
    """The sampler's own options, as optuna's documentation names them."""
    n_trials: int = 20
    """Trials in all, with those that the study has."""
    batch: int = 4
    """Trials that are asked for at once, and planned as one."""
    seed: int = 0
    """Of the sampler."""
    maximize: list[str] = field(default_factory=list)
    """Objectives as STAGE or STAGE/METRIC, such as evaluator.merger/mean_score."""
    minimize: list[str] = field(default_factory=list)
    """Neither: the figure by which a grid has its winner."""


ConfigStore.instance().store(
    group="hydra/sweeper", name="optuna", node=SearchSweeperConf, provider="storm-exp"
)


class SearchSweeper(RoundsSweeper):
    """Sweeper that asks optuna for trials, makes a batch of them as one, and tells their values."""

    def __init__(self, sampler: str, options: Any, n_trials: int, batch: int, **rest: Any) -> None:
        """Take the settings of SearchSweeperConf; raises ComposeError for impossible numbers."""
        self._sampler, self._options = sampler, dict(options)
        self._trials, self._batch, self._seed = n_trials, batch, int(rest.pop("seed"))
        given = {direction: list(rest.pop(direction)) for direction in (MAXIMIZE, MINIMIZE)}
        self._objectives = [Objective.read(str(w), d) for d, words in given.items() for w in words]
        super().__init__(**rest)
        for name, number in (("n_trials", n_trials), ("batch", batch)):
            if not 1 <= number <= MOST_CELLS:
                limit = f"must be between 1 and {MOST_CELLS:,}"
                raise ComposeError(f"hydra.sweeper.{name}={number}: {limit}")
        if len({(each.stage, each.metric) for each in self._objectives}) < len(self._objectives):
            raise ComposeError("hydra.sweeper: an objective is named twice")
        self._objectives = self._objectives or [Objective("")]

    def sweep(self, arguments: list[str]) -> Any:
        """Search, and run the cells of all trials that came through as one sweep."""
        from hydra_plugins.storm_exp_hydra.study import check_sampler, open_study

        check_sampler(self._sampler, self._options)
        self._space = SearchSpace.read(self.parse(arguments))
        if self._trials > self._space.count:
            raise ComposeError(
                f"hydra.sweeper.n_trials={self._trials}: the space has {self._space.count:.0f} "
                "points, and a grid has them all (leave hydra/sweeper=optuna out)"
            )
        file = self._study_file()
        directions = [each.direction or MAXIMIZE for each in self._objectives]
        drawn = (self._space.dimensions, self._sampler, self._options, self._seed)
        if not self.only_shown:
            with open_study(file, directions, *drawn) as study:
                self._search(study)
                return self._conclude(study)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, file.name)
            if file.is_file():
                shutil.copy(file, copy)
            with open_study(copy, directions, *drawn) as study:
                cells = [cell for _, point in self._next(study) for cell in self._cells(point)]
        assert self.launcher is not None
        return [self.launcher.launch(cells, initial_job_idx=0)] if cells else []

    def _study_file(self) -> Path:
        """Return where the study is kept; raises a StormError where no cell can be planned.

        Its name covers what the trials' values follow from: the space, the objectives, and the
        keys of what a cell in the middle of the space makes.
        """
        cells = self.compose(self._cells(self._space.middle))
        plan = make_plan(cells)
        for objective in self._objectives:
            objective.check(plan.cells[0])
        keys = [node.key for cell in plan.cells for node in cell.needed()]
        same = {
            "space": {name: repr(each) for name, each in self._space.dimensions.items()},
            "seeds": self._space.seeds,
            "objectives": [repr(objective) for objective in self._objectives],
            "keys": sorted(keys),
        }
        digest = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:12]
        return Path(str(cells[0].config.store.path)).expanduser() / "studies" / f"{digest}.jsonl"

    def _cells(self, point: Point) -> list[list[str]]:
        return self._space.cells(point)

    def _next(self, study: "Study") -> list[tuple[int, Point]]:
        """Return the trials to run next: those that were left unfinished, or new ones."""
        left = self._trials - len(study.trials())
        return study.unfinished() or [study.ask() for _ in range(min(left, self._batch))]

    def _search(self, study: "Study") -> None:
        """Run batches until there are enough trials; raises StageError where none comes through."""
        if known := len(study.trials()) - len(study.unfinished()):
            say(f"  the study has {known} trials; {max(self._trials - known, 0)} are to come")
        while batch := self._next(study):
            ready = self._planned(study, batch)
            words = [cell for _, cells in ready for cell in cells]
            found = iter(self.launch(words).cells if words else [])
            for number, cells in ready:
                self._tell(study, number, [next(found) for _ in cells])
            if not study.completed():
                reasons = dict.fromkeys(t.user_attrs.get("reason", "") for t in study.trials())
                raise StageError(f"no trial of the first batch came through: {'; '.join(reasons)}")

    def _tell(self, study: "Study", number: int, cells: list["CellRecord"]) -> None:
        """Tell what became of a trial, one that lacks a figure as failed."""
        figures = [each.mean(cells) for each in self._objectives]
        known = [figure for figure in figures if figure is not None]
        if len(known) < len(figures):
            reasons = (failure_of(cell) for cell in cells)
            study.fail(number, next(filter(None, reasons), "it has no finite figure"))
            return
        pairs = zip(self._objectives, known, strict=True)
        study.tell(number, [each.told(v, cells[0]) for each, v in pairs], known)

    def _planned(
        self, study: "Study", batch: Sequence[tuple[int, Point]]
    ) -> list[tuple[int, list[list[str]]]]:
        """Return the cells of the trials that can be planned; tell the others as failed."""
        ready = []
        for number, point in batch:
            cells = self._cells(point)
            try:
                make_plan(self.compose(cells))
            except PlanError as error:
                say(f"  trial {number} cannot run: {error}")
                study.fail(number, str(error))
            else:
                ready.append((number, cells))
        return ready

    def _conclude(self, study: "Study") -> Any:
        """Run the cells of all completed trials as one, which makes nothing new, and report."""
        points = {self._space.shown(t.params): t.params for t in study.completed()}
        cells = [cell for point in points.values() for cell in self._cells(point)]
        notes = search_notes(study, self._space, self._objectives, self._sampler)
        return self.launch(cells, notes)
