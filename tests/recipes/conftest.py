"""Plans of the recipes that ship, made inside this process and from configurations alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from storm_exp import Plan, PlannedArtifact
from storm_exp.testing import plan as plan_in


@pytest.fixture(scope="session")
def plans() -> dict[tuple[str, ...], Plan]:
    """Plans that were made, by their overrides: tests ask for the same ones, and only read."""
    return {}


@pytest.fixture
def plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plans: dict[tuple[str, ...], Plan]
) -> Callable[..., Plan]:
    """Return a function that plans what is typed, with an empty cache of the hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def make(*typed: str) -> Plan:
        if typed not in plans:
            plans[typed] = plan_in(tmp_path, *typed)
        return plans[typed]

    return make


@pytest.fixture
def planned(plan: Callable[..., Plan]) -> Callable[..., dict[str, PlannedArtifact]]:
    """Return a function that plans, and gives the artifacts by their labels."""
    return lambda *overrides: {node.label: node for node in plan(*overrides).nodes.values()}
