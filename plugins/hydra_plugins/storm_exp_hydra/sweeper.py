"""The sweeper `cells`: every combination of the values given, composed once, by the launcher.

Annotations are not postponed here: Hydra executes this module before it is in `sys.modules`, and
dataclasses look postponed annotations up there.
"""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from storm_exp import ComposeError

MOST_CELLS = 10_000
"""Cells that can be planned within minutes."""


@dataclass
class CellsSweeperConf(BasicSweeperConf):
    """The settings of Hydra's own sweeper."""

    _target_: str = "hydra_plugins.storm_exp_hydra.sweeper.CellsSweeper"


ConfigStore.instance().store(
    group="hydra/sweeper", name="cells", node=CellsSweeperConf, provider="storm-exp"
)


class CellsSweeper(BasicSweeper):
    """Hydra's own sweeper, whose cells are planned as one and become one run."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Set up the launcher; one that runs cells by themselves is made to record the sweep."""
        from hydra_plugins.storm_exp_hydra.cell_task import CellTask
        from hydra_plugins.storm_exp_hydra.launcher import StagesLauncher
        from hydra_plugins.storm_exp_hydra.separate_cells import SeparateCells

        task = CellTask(task_function)
        super().setup(hydra_context=hydra_context, task_function=task, config=config)
        self.stages: StagesLauncher
        """What composes cells without running them."""
        # Hydra may have executed the launcher's module twice, so that there are two such classes.
        if type(self.launcher).__name__ == "StagesLauncher":
            self.stages = cast(StagesLauncher, self.launcher)
            return
        self.stages = StagesLauncher()
        self.stages.setup(hydra_context=hydra_context, task_function=task, config=config)
        name = config.hydra.runtime.choices["hydra/launcher"]
        self.launcher = SeparateCells(self.launcher, self.stages, name)

    def sweep(self, arguments: list[str]) -> Any:
        """Sweep, and remove `multirun.yaml`, as a run has a record of its own."""
        folder = Path(self.config.hydra.sweep.dir)
        try:
            return super().sweep(arguments)
        finally:
            (folder / "multirun.yaml").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it holds more
                folder.rmdir()

    @staticmethod
    def split_arguments(
        overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """Return the cells in batches; raises ComposeError where there are none, or too many."""
        count = 1
        for override in overrides:
            if override.is_interval_sweep():
                raise ComposeError(
                    f"{override.input_line}: an interval names no values; write range(0,1,0.1), "
                    "or search it (hydra/sweeper=optuna)"
                )
            if override.is_discrete_sweep():
                count *= count_values(override)
        if count > MOST_CELLS:
            given = " ".join(str(o.input_line) for o in overrides if o.is_discrete_sweep())
            raise ComposeError(f"{given}: {count:,} cells, and a sweep has at most {MOST_CELLS:,}")
        return BasicSweeper.split_arguments(overrides, max_batch_size)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Leave it to the launcher, which composes every cell before the first one runs."""


def count_values(override: Override) -> int:
    """Return how many values an override gives; raises ComposeError for none at all."""
    value = override.value()
    try:
        if isinstance(value, RangeSweep) and 0 < abs(float(value.step)) < math.inf:
            count = math.ceil((float(value.stop) - float(value.start)) / float(value.step))
        else:
            count = sum(1 for _ in override.sweep_iterator())
    except (ArithmeticError, TypeError, ValueError, HydraException) as error:
        raise ComposeError(f"{override.input_line}: no values can be read from it") from error
    if count < 1:
        raise ComposeError(f"{override.input_line}: no value comes of it, so there is no cell")
    return count
