"""The launcher `stages`: all cells of a sweep are planned as one, what they share is made once.

Annotations are not postponed here: Hydra executes this module before it is in `sys.modules`, and
dataclasses look postponed annotations up there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus, filter_overrides, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

if TYPE_CHECKING:
    from storm_exp._run.run import Composition


@dataclass
class StagesLauncherConf:
    """Settings of the launcher: it has none."""

    _target_: str = "hydra_plugins.storm_exp_hydra.launcher.StagesLauncher"


ConfigStore.instance().store(
    group="hydra/launcher", name="stages", node=StagesLauncherConf, provider="storm-exp"
)


class StagesLauncher(Launcher):
    """Launcher that composes all cells of a batch and passes them to the engine together."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Set up the composer; the task function is not used."""
        from hydra_plugins.storm_exp_hydra.composer import Composer

        self._composer = Composer(hydra_context.config_loader, config)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run a batch of cells as one plan; return their objectives in order."""
        from storm_exp._run import application

        cells = self.compose(job_overrides, initial_job_idx)
        return self.results(cells, application.act(cells))

    def compose(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list["Composition"]:
        """Compose a batch of cells, each named by its own overrides."""
        from storm_exp._run.run import Composition

        setup_globals()
        cells = []
        shared = set(job_overrides[0]).intersection(*job_overrides[1:])
        for number, overrides in enumerate(job_overrides, start=initial_job_idx):
            told_apart = [o for o in filter_overrides(overrides) if o not in shared]
            name = " ".join(told_apart) or str(number)
            config = self._composer.compose(list(overrides))
            with open_dict(config):
                config.hydra.job.id = str(number)
                config.hydra.job.num = number
                hydra = config.pop("hydra")
            cells.append(Composition(name, config, hydra))
        return cells

    @staticmethod
    def results(
        cells: Sequence["Composition"], objectives: Sequence[float | None]
    ) -> list[JobReturn]:
        """Return the objectives of cells in Hydra's form."""
        from storm_exp._compose.provenance import as_typed

        return [
            JobReturn(
                overrides=as_typed(cell.hydra),
                cfg=cell.config,
                hydra_cfg=_alone(cell.hydra),
                task_name="storm_exp",
                status=JobStatus.COMPLETED,
                _return_value=objective,
            )
            for cell, objective in zip(cells, objectives, strict=True)
        ]


def _alone(hydra: DictConfig) -> DictConfig:
    """Return a configuration with the node `hydra` only, without copying it."""
    config = DictConfig({}, flags={"no_deepcopy_set_nodes": True})
    config.hydra = hydra
    return config
