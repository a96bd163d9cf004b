"""Plans of the recipes that ship, made inside this process and from configurations alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from storm_exp._contract.plugins import load_plugins
from storm_exp._plan.plan import Plan, PlannedArtifact
from storm_exp._run import application
from storm_exp._run.run import Composition, make_plan


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Return a function that composes overrides and plans them, with an empty cache of the hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def make(*overrides: str) -> Plan:
        application.register_components(load_plugins())
        folder = str(application.config_folder())
        with initialize_config_dir(folder, version_base="1.3"):
            config = compose("config", list(overrides), return_hydra_config=True)
        return make_plan([Composition("", config, config.hydra)])

    return make


@pytest.fixture
def planned(plan: Callable[..., Plan]) -> Callable[..., dict[str, PlannedArtifact]]:
    """Return a function that plans, and gives the artifacts by their labels."""
    return lambda *overrides: {node.label: node for node in plan(*overrides).nodes.values()}
