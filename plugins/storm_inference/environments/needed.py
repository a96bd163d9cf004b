"""Which environments a plan needs, looked at before anything starts."""

from __future__ import annotations

from storm_exp import Plan, PlanError, SettingError
from storm_inference.environments.environment import Environment


def check_environments(plan: Plan) -> None:
    """Raise PlanError for an environment that a stage will need and that cannot be used.

    A component names them by the settings that ask for them: `environments(self)` returns
    `{setting: Environment}`, with an empty name where it is the component that needs one. A plan
    for another machine is not asked.
    """
    if plan.cells[0].recipe.runtime.accelerator:
        return
    for node in plan.to_make():
        wanted = getattr(node.settings, "environments", None)
        needed: dict[str, Environment] = wanted() if wanted is not None else {}
        for setting, environment in needed.items():
            if problem := environment.problem():
                text = f"needs the environment '{environment.name}', which {problem}; make it: "
                text += environment.command
                if not setting:
                    raise PlanError(f"{node.component.name}: {text}")
                value = getattr(node.settings, setting)
                raise PlanError(node.locate(SettingError(setting, value, text)))
