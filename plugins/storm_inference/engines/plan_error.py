"""Errors of a plan about settings of servers, which stages share or have of their own."""

from __future__ import annotations

from typing import Any

from storm_exp import Plan, PlanError, PlannedArtifact, SettingError


def serving_error(
    plan: Plan, node: PlannedArtifact, name: str, value: Any, problem: str
) -> PlanError:
    """Return an error about a setting of `serving`: the stage's own, or that of the section."""
    origins = plan.cells[0].recipe.origins
    if origins.wrote(f"{node.stage}.serving.{name}"):
        return PlanError(node.locate(SettingError(f"serving.{name}", value, problem)))
    return PlanError(origins.locate(SettingError(name, value, problem), "inference"))
