"""Sweeps under other launchers than `stages`, such as those of Slurm and joblib.

Such a launcher runs every cell by itself, perhaps as a job on another machine. The store makes the
cells share their stages; here they become one run again, with the report of a sweep.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from hydra_plugins.storm_exp_hydra.launcher import StagesLauncher
from storm_exp._contract.errors import RunFolderError, StageError, StormError
from storm_exp._plan.plan import Cell
from storm_exp._plan.planned_artifact import PlannedArtifact
from storm_exp._run.console import say
from storm_exp._run.executor import Executor
from storm_exp._run.record import RunRecord
from storm_exp._store.artifact_maker import MadeArtifact

_LONGEST = 2000
"""Characters of what a launcher says of a job that ended without a result."""


class SeparateCells:
    """Launcher that plans all cells, and has another one run those that lack something.

    Each of these cells has a run of its own, with its log; the sweep is a run of all cells.
    """

    def __init__(self, launcher: Launcher, stages: StagesLauncher, name: str) -> None:
        """`launcher` runs the cells, `stages` composes them; `name` is the option chosen."""
        self._launcher = launcher
        self._stages = stages
        self._name = name

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run a batch of cells; return their objectives in order."""
        from storm_exp._run.application import objective
        from storm_exp._run.run import carry_out, make_plan

        cells = self._stages.compose(job_overrides, initial_job_idx)
        plan = make_plan(cells)
        missing = {node.key for node in plan.to_make()}
        lacking = [
            number
            for number, cell in enumerate(plan.cells)
            if missing & {node.key for node in cell.nodes()}
        ]
        outputs = Path(cells[0].config.outputs).expanduser()

        def run_cells() -> dict[str, str]:
            kept = len(cells) - len(lacking)
            of = f" of {len(cells)}, as {kept} lack nothing," if kept else ""
            say(f"  {len(lacking)} cells{of} run by hydra/launcher={self._name}")
            before = set((outputs / "runs").glob("*"))
            words = [job_overrides[number] for number in lacking]
            told = self._run(words, initial_job_idx, [plan.cells[number] for number in lacking])
            return told | _recorded(set((outputs / "runs").glob("*")) - before)

        record = carry_out(plan, cells, outputs, maker=partial(Collector, run_cells))
        return self._stages.results(cells, [objective(cell) for cell in record.cells])

    def _run(
        self, words: list[Sequence[str]], initial_job_idx: int, cells: list[Cell]
    ) -> dict[str, str]:
        """Run cells by the launcher; return why they failed, by the keys of their artifacts."""
        try:
            results = self._launcher.launch(words, initial_job_idx)
        except Exception as error:  # a launcher raises what it likes
            # submitit says in the last lines why a job was not taken, or what it wrote last.
            text = "".join(traceback.format_exception_only(error)).strip()[-_LONGEST:]
            say(f"  hydra/launcher={self._name} failed: {text}")
            brief = f"hydra/launcher={self._name} failed: {text.splitlines()[0]}"
            return {node.key: brief for cell in cells for node in cell.nodes()}
        except KeyboardInterrupt:
            say(f"  jobs that hydra/launcher={self._name} has submitted are not ended by this")
            raise
        told: dict[str, str] = {}
        for cell, result in zip(cells, results, strict=True):
            if result.status is JobStatus.FAILED:
                error = result._return_value
                text = str(error) if isinstance(error, StormError) else repr(error)
                say(f"  the cell {cell.name} failed: {text}")
                told = {node.key: text for node in cell.nodes()} | told
        return told


class Collector(Executor):
    """Executor that has the cells run, and takes what they made from the store."""

    def __init__(self, run_cells: Callable[[], dict[str, str]], *arguments: Any) -> None:
        """`run_cells` is called once and returns why artifacts were not made, by their keys."""
        super().__init__(*arguments)
        self._run_cells = run_cells
        self._told: dict[str, str] | None = None

    def make(self, node: PlannedArtifact) -> MadeArtifact:
        """Return the artifact that a cell made; raises StageError if none did."""
        if self._told is None:
            self._told = self._run_cells()
        found = self._store.find(node.key)
        if found.manifest is None:
            text = self._told.get(node.key, "no cell made it")
            behind = text.removeprefix(node.label)
            raise StageError(node.title + (behind if behind != text else f": {text}"))
        node.manifest, node.damage = found.manifest, ""
        return MadeArtifact(found.manifest, True, float(found.manifest.made.get("seconds", 0)))


def _recorded(runs: set[Path]) -> dict[str, str]:
    """Return the errors of stages in the records of runs, by key."""
    told: dict[str, str] = {}
    for folder in sorted(runs):
        try:
            record = RunRecord.read(folder)
        except (RunFolderError, StormError):  # it goes on, or was killed
            continue
        told |= {stage.key: stage.error for stage in record.stages() if stage.error}
    return told
