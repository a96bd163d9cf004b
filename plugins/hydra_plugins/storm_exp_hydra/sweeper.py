"""The sweeper `cells`: every combination of the values given, composed once, by the launcher.

Annotations are not postponed here: Hydra executes this module before it is in `sys.modules`, and
dataclasses look postponed annotations up there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore


@dataclass
class CellsSweeperConf(BasicSweeperConf):
    """The settings of Hydra's own sweeper."""

    _target_: str = "hydra_plugins.storm_exp_hydra.sweeper.CellsSweeper"


ConfigStore.instance().store(
    group="hydra/sweeper", name="cells", node=CellsSweeperConf, provider="storm-exp"
)


class CellsSweeper(BasicSweeper):
    """Hydra's own sweeper, which leaves it to the launcher `stages` to compose all cells first."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose every cell, unless the launcher does so before the first one runs."""
        if type(self.launcher).__name__ != "StagesLauncher":
            super().validate_batch_is_legal(batch)
