"""Sweeps in rounds: cells are run a few at a time, what came of them decides which are next.

Annotations are not postponed here, as in the sweepers, which Hydra executes in an odd way.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from hydra_plugins.storm_exp_hydra.sweeper import CellsSweeper
from storm_exp import Composition, StageError, hookimpl, load_plugins

if TYPE_CHECKING:
    from storm_exp.report import RunRecord
    from storm_report.sweep_notes import SweepNotes

Words = list[str]
"""The overrides of a cell."""


class RoundsSweeper(CellsSweeper):
    """Sweeper that launches cells in rounds; the last round is all that the report is about."""

    _launched = 0
    """Cells so far, by which the next ones are numbered."""

    def parse(self, arguments: list[str]) -> list[Override]:
        """Return the overrides of a sweep: those of its file, then those of the command line."""
        assert self.hydra_context is not None
        parser = OverridesParser.create(self.hydra_context.config_loader)
        return list(parser.parse_overrides([*self._parse_config(), *arguments]))

    @property
    def only_shown(self) -> bool:
        """Whether another verb than running acts on the cells, such as `plan`."""
        from storm_exp._run import application

        return application._action is not application.run_cells

    def compose(self, cells: Sequence[Words]) -> list[Composition]:
        """Compose cells without running them."""
        return self.stages.compose(cells, self._launched)

    def launch(self, cells: Sequence[Words], notes: "SweepNotes | None" = None) -> "RunRecord":
        """Run cells as one plan; return the record, also where stages failed."""
        assert self.launcher is not None
        listener, manager = _Listener(notes), load_plugins().manager
        manager.register(listener)
        try:
            self.launcher.launch(cells, initial_job_idx=self._launched)
        except StageError:  # after everything else was made; the record says what failed
            if listener.record is None:
                raise
        finally:
            manager.unregister(listener)
        self._launched += len(cells)
        assert listener.record is not None, "a launcher of cells makes a run of them"
        return listener.record


class _Listener:
    """A plugin for the length of a run, which hears of its record."""

    record: "RunRecord | None" = None

    def __init__(self, notes: "SweepNotes | None") -> None:
        self._notes = notes

    @hookimpl
    def storm_run_started(self, run: "RunRecord") -> None:
        """Write the notes before the report is made, which reads them."""
        if self._notes is not None:
            self._notes.write(run.directory)

    @hookimpl
    def storm_run_finished(self, run: "RunRecord") -> None:
        """Keep the record."""
        self.record = run
