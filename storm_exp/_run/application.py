"""Between Hydra and the engine: what composes configurations, and what is done with them."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import sys
from collections.abc import Callable
from typing import cast

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from storm_exp._compose.command_line import arrange, check
from storm_exp._compose.presets import config_folder
from storm_exp._compose.provenance import as_typed
from storm_exp._contract.plugins import Plugins, load_plugins
from storm_exp._run.record import CellRecord
from storm_exp._run.run import Composition, run
from storm_exp._run.sweep import main_metrics

Action = Callable[[list[Composition]], list[float | None]]
"""What is done with the cells that were composed; returns the objective of each."""
_failures: list[BaseException] = []


@functools.cache
def register_components(plugins: Plugins) -> None:
    """Offer every component to Hydra as an option of its menus."""
    store = ConfigStore.instance()
    for component in plugins.components.values():
        provider = plugins.owner(component).distribution
        for menu in component.menus:
            node = OmegaConf.structured(component.cls)
            _open_dicts(node)
            store.store(group=menu, name=component.name, node=node, provider=provider)


def _open_dicts(node: DictConfig) -> None:
    """Let overrides add keys to settings that are dicts: Hydra closes every node without a word."""
    for name in node:
        child = node._get_node(name)
        if isinstance(child, DictConfig):
            if OmegaConf.get_type(child) is dict:
                OmegaConf.set_struct(child, False)
            else:
                _open_dicts(child)


def run_cells(compositions: list[Composition]) -> list[float | None]:
    """Run; return the objective of every cell, for sweepers that optimise."""
    return [objective(cell) for cell in run(compositions).cells]


def objective(cell: CellRecord) -> float | None:
    """Return the main metric of the last stage of a cell that has one."""
    return next(reversed(main_metrics(cell).values()), None)


_action: Action = run_cells


def act(compositions: list[Composition]) -> list[float | None]:
    """Do with the cells what the command line asks for; return the objective of each."""
    return _action(compositions)


def compose_and_act(arguments: list[str], action: Action = run_cells) -> None:
    """Hand a command line to Hydra, which calls `act` or, under `-m`, the launcher."""
    global _action
    if "--version" in arguments:
        print(f"storm-exp {importlib.metadata.version('storm-exp')}, Hydra {hydra.__version__}")
        return
    plugins = load_plugins()
    words = arrange(arguments)
    check(words, plugins)
    register_components(plugins)
    # Hydra then raises instead of printing its own message and exiting.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [sys.argv[0], *words]
    decorate = hydra.main(
        version_base="1.3", config_path=str(config_folder()), config_name="config"
    )
    _failures.clear()
    _action = action
    try:
        decorate(_task)()
    finally:
        _action = run_cells
    if _failures:
        raise _failures[0]


def _task(config: DictConfig) -> float | None:
    hydra = HydraConfig.get()
    composition = Composition("", config, cast(DictConfig, hydra))
    if hydra.mode is RunMode.MULTIRUN:  # a cell that another launcher started
        composition.name = " ".join(as_typed(composition.hydra))
        return act([composition])[0]
    try:
        return act([composition])[0]
    except (Exception, KeyboardInterrupt) as error:
        # Raised behind Hydra's back, which would add lines of its own.
        _failures.append(error)
        return None
