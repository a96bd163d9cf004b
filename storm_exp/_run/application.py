"""Connection of Hydra and the engine: composes configurations and acts on them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import cast

import hydra
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins as HydraPlugins
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, open_dict

from storm_exp._compose.command_line import arrange, check
from storm_exp._compose.presets import config_folder
from storm_exp._compose.provenance import as_typed
from storm_exp._contract.errors import ComposeError
from storm_exp._contract.plugins import load_plugins
from storm_exp._run.record import CellRecord
from storm_exp._run.run import Action, Composition, run


def run_cells(compositions: list[Composition]) -> list[float | None]:
    """Run the cells; return the objective of each, for sweepers that optimise."""
    return [objective(cell) for cell in run(compositions).cells]


def objective(cell: CellRecord) -> float | None:
    """Return the main metric of the last stage of a cell that has one."""
    stages = [stage for stage in cell.stages if stage.main_metric in stage.metrics]
    return stages[-1].metrics[stages[-1].main_metric] if stages else None


_action: Action = run_cells


def act(compositions: list[Composition]) -> list[float | None]:
    """Apply the action of the command line to cells; return the objective of each."""
    return _action(compositions)


def compose_and_act(arguments: list[str], action: Action = run_cells) -> None:
    """Compose the configurations of a command line by Hydra, and apply `action` to them."""
    global _action
    words = arrange(arguments)
    flags = check(words, load_plugins())
    # Makes Hydra raise errors instead of printing them and exiting.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [sys.argv[0], *words]
    if flags.shell_completion:
        sys.argv[0] = "storm-exp"  # the command that is completed, however this was called
        if offered := load_plugins().hook.storm_complete(line=os.environ.get("COMP_LINE", "")):
            print(*offered, sep="\n")
            return
    _action = action
    try:
        if flags.cfg or flags.info or flags.shell_completion:
            folder = str(config_folder())
            hydra.main(version_base="1.3", config_path=folder, config_name="config")(_task)()
        else:
            _compose(flags)
    finally:
        _action = run_cells
        GlobalHydra.instance().clear()


def _compose(flags: argparse.Namespace) -> None:
    """Compose a single run and act on it, or start Hydra's sweeper.

    `hydra.main` does the same, but composes a single run twice: once to determine that it is one.
    """
    hydra.version.setbase("1.3")
    search_path = create_config_search_path(f"file://{config_folder()}")
    if flags.config_dir is not None:
        folder = Path(flags.config_dir).absolute()
        if not folder.is_dir():
            raise ComposeError(f"Additional config directory '{folder}' not found")
        schema = SearchPathQuery(provider="schema")
        search_path.prepend("command-line", f"file://{folder}", schema)
    composer = Hydra.create_main_hydra2("storm_exp", search_path)
    config = None if flags.multirun else _compose_run(composer, flags.overrides)
    if config is None:
        _sweep(composer, [*flags.overrides, "hydra.mode=MULTIRUN"])
        return
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        node = config.pop("hydra")
    act([Composition("", config, node)])


def _compose_run(composer: Hydra, words: list[str]) -> DictConfig | None:
    """Return the configuration of a single run; None if it asks for a sweep (`hydra.mode`)."""
    try:
        config = composer.compose_config("config", words, RunMode.RUN, with_log_configuration=True)
        mode = config.hydra.mode
    except HydraException:  # perhaps because values are those of a sweep
        mode = composer.get_mode("config", words)
        if mode is not RunMode.MULTIRUN:
            raise
    return None if mode is RunMode.MULTIRUN else config


def _sweep(composer: Hydra, words: list[str]) -> None:
    """Start the configured sweeper, which passes the cells to a launcher."""
    config = composer.compose_config("config", words, RunMode.MULTIRUN, True)
    if _action is not run_cells:  # other launchers would act on the cells one by one
        config.hydra.launcher = ConfigStore.instance().load("hydra/launcher/stages.yaml").node
    context = HydraContext(composer.config_loader, Callbacks(config))
    sweeper = HydraPlugins.instance().instantiate_sweeper(
        config=config, hydra_context=context, task_function=_task
    )
    sweeper.sweep(as_typed(config.hydra))


def _task(config: DictConfig) -> float | None:
    """Run a cell of a sweep under another launcher than `stages`."""
    node = cast(DictConfig, HydraConfig.get())
    return act([Composition(" ".join(as_typed(node)), config, node)])[0]
