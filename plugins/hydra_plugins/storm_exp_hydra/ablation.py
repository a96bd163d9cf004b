"""The sweeper `ablation`: the recipe, and the recipe with each of its controls, for every cell.

Annotations are not postponed here: Hydra executes this module before it is in `sys.modules`, and
dataclasses look postponed annotations up there.
"""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.storm_exp_hydra.sweeper import CellsSweeper, CellsSweeperConf
from storm_exp import ComposeError, SettingError, load_plugins


@dataclass
class AblationSweeperConf(CellsSweeperConf):
    """The settings of the sweeper `cells`; what is ablated stands in the recipe."""

    _target_: str = "hydra_plugins.storm_exp_hydra.ablation.AblationSweeper"


ConfigStore.instance().store(
    group="hydra/sweeper", name="ablation", node=AblationSweeperConf, provider="storm-exp"
)


class AblationSweeper(CellsSweeper):
    """Sweeper whose cells are those of the values given, times the arms of the recipe's ablation.

    All cells are one batch, so that the launcher plans them together.
    """

    def sweep(self, arguments: list[str]) -> Any:
        """Compose the first cell to learn what its recipe ablates, and launch all."""
        assert self.hydra_context is not None and self.launcher is not None
        loader = self.hydra_context.config_loader
        overrides = OverridesParser.create(loader).parse_overrides(arguments)
        batches = self.split_arguments(overrides, None)
        given = [cell for batch in batches for cell in batch]
        arms = _arms(loader.load_sweep_config(self.config, given[0]))
        cells = [[*cell, *words] for words in arms.values() for cell in given]
        self.validate_batch_is_legal(cells)
        return [self.launcher.launch(cells, initial_job_idx=0)]


def _arms(config: DictConfig) -> dict[str, list[str]]:
    """Return the overrides of each arm of a composed recipe; raises ComposeError."""
    section: Any = load_plugins().sections().get("ablation")
    if section is None or "ablation" not in config:
        raise ComposeError(
            "this recipe has no section `ablation`, which says what its result is and what stands "
            "in for each step (docs/ablations.md)"
        )
    try:
        written = OmegaConf.merge(OmegaConf.structured(section), config.ablation)
        return dict(OmegaConf.to_object(written).arms(config))
    except SettingError as error:
        raise ComposeError(f"ablation.{error}") from error
    except OmegaConfBaseException as error:
        raise ComposeError(f"ablation: {str(error).splitlines()[0]}") from error
