"""The environments that a plan needs: a check, and what to create on another machine."""

from __future__ import annotations

from collections.abc import Iterator

from storm_exp import Plan, PlanError, PlannedArtifact, SettingError
from storm_inference.environments.environment import Environment


def check_environments(plan: Plan) -> None:
    """Raise PlanError for an environment that a stage needs and that cannot be used.

    A component declares them by the method `environments(self)`, which returns
    `{setting: Environment}`, with an empty name if the component needs it with any settings.
    """
    for node, setting, environment, problem in _unusable(plan):
        text = f"needs the environment '{environment.name}', which {problem}; create it: "
        text += environment.command
        if not setting:
            raise PlanError(f"{node.component.name}: {text}")
        value = getattr(node.settings, setting)
        raise PlanError(node.locate(SettingError(setting, value, text)))


def environments_elsewhere(plan: Plan) -> list[str]:
    """Return a line per environment that the plan needs, and that cannot be used here.

    Only a plan for another machine comes that far.
    """
    stages_of: dict[Environment, dict[str, None]] = {}
    for node, _, environment, _ in _unusable(plan):
        stages_of.setdefault(environment, {})[node.stage] = None
    return [
        f"the environment '{each.name}' cannot be used on this machine; the machine that runs this "
        f"needs it: {each.command} ({', '.join(stages)})"
        for each, stages in stages_of.items()
    ]


def _unusable(plan: Plan) -> Iterator[tuple[PlannedArtifact, str, Environment, str]]:
    """Yield stages, the settings that need an environment, and the reasons why it is unusable."""
    for node in plan.to_make():
        declare = getattr(node.settings, "environments", None)
        needed: dict[str, Environment] = declare() if declare is not None else {}
        for setting, environment in needed.items():
            if problem := environment.problem():
                yield node, setting, environment, problem
