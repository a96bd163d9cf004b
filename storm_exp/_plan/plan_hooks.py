"""Hooks by which a plugin checks plans and comments on them."""

from __future__ import annotations

from storm_exp._contract.plugin_hooks import hookspec
from storm_exp._contract.runtime import Runtime
from storm_exp._plan.plan import Plan


@hookspec
def storm_check_plan(plan: Plan) -> None:
    """Raise PlanError for a plan that cannot run with the devices that the runtime names."""


@hookspec
def storm_check_machine(runtime: Runtime, plan: Plan) -> None:
    """Raise SettingError for devices or programs that the runtime names and this machine lacks.

    Raise PlanError for what stages need and this machine lacks. Rehearsals are not checked.
    """


@hookspec
def storm_look_up(plan: Plan, online: bool) -> tuple[list[str], list[str]]:  # type: ignore[empty-body]
    """Return lines about what a plan would fetch, and problems; use the network if `online`."""


@hookspec
def storm_plan_notices(plan: Plan) -> list[str]:  # type: ignore[empty-body]
    """Return lines that the verb `plan` prints below its table, such as an estimate of hours."""
