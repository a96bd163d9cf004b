"""Notice of a sweep's plan about the exports that it leaves out."""

from __future__ import annotations

from storm_exp import Plan


def left_out(plan: Plan) -> list[str]:
    """Return a line if no cell of a sweep is exported, because no target is an exporter."""
    if len(plan.cells) == 1:
        return []
    names: dict[str, None] = {}
    for cell in plan.cells:
        menus = cell.recipe.origins.menus
        names |= {name: None for name in cell.recipe.idle if menus.get(name, name) == "exporter"}
    if not names:
        return []
    shown = ",".join(names)
    return [
        f"a sweep does not export its models: run the settings of one without -m, or all with "
        f"'targets=[{shown}]' (and further stages that you want)"
    ]
