"""Check of the environments that a plan needs."""

from __future__ import annotations

from storm_exp import Plan, PlanError, SettingError
from storm_inference.environments.environment import Environment


def check_environments(plan: Plan) -> None:
    """Raise PlanError for an environment that a stage needs and that cannot be used.

    A component declares them by the method `environments(self)`, which returns
    `{setting: Environment}`, with an empty name if the component needs it with any settings.
    """
    for node in plan.to_make():
        declare = getattr(node.settings, "environments", None)
        needed: dict[str, Environment] = declare() if declare is not None else {}
        for setting, environment in needed.items():
            if problem := environment.problem():
                text = f"needs the environment '{environment.name}', which {problem}; create it: "
                text += environment.command
                if not setting:
                    raise PlanError(f"{node.component.name}: {text}")
                value = getattr(node.settings, setting)
                raise PlanError(node.locate(SettingError(setting, value, text)))
