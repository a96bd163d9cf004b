"""What a search is for: metrics of stages, and whether more of them is better.

Annotations are not postponed here: Hydra executes this module before it is in `sys.modules`, and
dataclasses look postponed annotations up there.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storm_exp import ComposeError, did_you_mean

if TYPE_CHECKING:
    from storm_exp._plan.plan import Cell
    from storm_exp.report import CellRecord, StageRecord

MAXIMIZE, MINIMIZE = "maximize", "minimize"


@dataclass(frozen=True)
class Objective:
    """A metric of a stage, and its direction."""

    stage: str
    """Its label, with a dot for the element: `evaluator.merger`. Empty for the default: the last
    stage that measured its main metric on data."""
    metric: str = ""
    """Empty for the stage's main metric."""
    direction: str = ""
    """maximize or minimize; empty for the default, whose metric's name tells."""

    @classmethod
    def read(cls, written: str, direction: str) -> "Objective":
        """Read `STAGE` or `STAGE/METRIC`."""
        stage, _, metric = written.partition("/")
        return cls(stage.replace("[", ".").replace("]", ""), metric, direction)

    @property
    def name(self) -> str:
        """What tables call it."""
        return "/".join(filter(None, (self.stage, self.metric))) or "score"

    def check(self, cell: "Cell") -> None:
        """Raise ComposeError for a stage that is not made in a planned cell."""
        known = [
            f"{stage}.{element}" if element else stage
            for stage, elements in cell.placed.items()
            for element, node in elements.items()
            if node in cell.needed()
        ]
        if self.stage and self.stage not in known:
            raise ComposeError(
                f"hydra.sweeper.{self.direction}: '{self.stage}' is not made in this recipe"
                f"{did_you_mean(self.stage, known)}"
            )

    def value(self, cell: "CellRecord") -> float | None:
        """Return the figure of a cell, None where its stage was not made.

        Raises ComposeError for a metric that the stage does not report.
        """
        stage = self._stage(cell)
        if stage is None or not stage.metrics:
            return None
        metric = self.metric or stage.main_metric
        if metric not in stage.metrics:
            raise ComposeError(
                f"hydra.sweeper.{self.direction}: {_label(stage)} reports no '{metric}'"
                f"{did_you_mean(metric, stage.metrics)}; it reports {', '.join(stage.metrics)}"
            )
        return stage.metrics[metric]

    def mean(self, cells: Sequence["CellRecord"]) -> float | None:
        """Return the mean figure of the cells of a trial, None where one has no finite figure."""
        figures = [self.value(cell) for cell in cells]
        known = [figure for figure in figures if figure is not None and math.isfinite(figure)]
        return statistics.fmean(known) if len(known) == len(figures) else None

    def told(self, figure: float, cell: "CellRecord") -> float:
        """Return the figure of a finished cell so that the study's direction is right.

        A study's direction is set before the default's metric is known; where less of that is
        better, the sign is changed.
        """
        from storm_report.whereabouts import is_lower_better

        stage = self._stage(cell)
        turned = not self.direction and stage is not None and is_lower_better(stage.main_metric)
        return -figure if turned else figure

    def _stage(self, cell: "CellRecord") -> "StageRecord | None":
        from storm_report.whereabouts import judged

        if self.stage:
            return next((stage for stage in cell.stages if _label(stage) == self.stage), None)
        if failure_of(cell):
            return None
        found = judged(cell)
        measured = [stage for stage in cell.stages if stage.main_metric in stage.metrics]
        return found.stage if found else (measured or [None])[-1]


def _label(stage: "StageRecord") -> str:
    return f"{stage.stage}.{stage.element}" if stage.element else stage.stage


def failure_of(cell: "CellRecord") -> str:
    """Return why a cell is not complete; empty where it is."""
    from storm_report.whereabouts import unmade

    failed = unmade(cell)
    return next((stage.error for stage in failed if stage.error), "not reached" if failed else "")
