"""Notice of a sweep's plan about the exports that it leaves out."""

from __future__ import annotations

from storm_exp import Plan


def left_out(plan: Plan) -> list[str]:
    """Return a line if no cell of a sweep is exported, because no target is an exporter."""
    targets: dict[str, None] = {}
    names: dict[str, None] = {}
    for cell in plan.cells:
        if cell.name:  # of a sweep
            menus, idle = cell.recipe.origins.menus, cell.recipe.idle
            targets |= dict.fromkeys(cell.recipe.targets)
            names |= {name: None for name in idle if menus.get(name, name) == "exporter"}
    if not names:
        return []
    return [
        f"a sweep does not export its models ({', '.join(names)}): run the settings of one without "
        f"-m, or export all with 'targets=[{','.join([*targets, *names])}]'"
    ]
