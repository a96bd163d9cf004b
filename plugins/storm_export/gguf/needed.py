"""Whether what K types need is there, looked at before anything starts."""

from __future__ import annotations

from storm_exp import Plan, PlanError, SettingError
from storm_export.gguf.exporter import Gguf
from storm_export.gguf.libllama import HOW, find_libllama


def check_libllama(plan: Plan) -> None:
    """Raise PlanError for K types without llama.cpp's libraries.

    A plan for another machine is not asked.
    """
    if plan.cells[0].recipe.runtime.accelerator or find_libllama() is not None:
        return
    for node in plan.to_make():
        types = node.settings.types if isinstance(node.settings, Gguf) else []
        if any(type_.is_k for type_ in types):
            shown = [type_.value for type_ in types]
            raise PlanError(node.locate(SettingError("types", shown, f"K types need {HOW}")))
