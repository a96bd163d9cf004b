"""What a user should know of a plan besides its table."""

from __future__ import annotations

from storm_exp.graph import StageUse
from storm_exp.maker import source_digest
from storm_exp.plan import Node, Plan, Status
from storm_exp.why import source_changed


def notes(plan: Plan) -> list[str]:
    """Return lines about unused edges, changed sources, and what is to be fetched."""
    lines = [
        f"unused: {use.component.name} {_why_unused(use, port)} (graph.{use.name}.{port})"
        for cell in plan.cells
        for use in cell.recipe.stages.values()
        for port in use.unused
    ]
    idle = plan.cells[0].recipe.idle
    if idle:
        lines.append(f"not planned, because nothing needs it: {', '.join(idle)}")
    lines += [
        f"damaged, but nothing needs it: {node.label} ({node.damage})"
        for node in plan.nodes.values()
        if node.damage and node.status is Status.NOT_NEEDED
    ]
    lines += [f"warning: {text}" for text in _changed_sources(plan)]
    for node in plan.to_make():
        fetches = getattr(node.settings, "fetches", None)
        if fetches is not None:
            lines += [f"to fetch: {what} ({node.label})" for what in fetches()]
    return list(dict.fromkeys(lines))


def _changed_sources(plan: Plan) -> list[str]:
    """Return a warning for kept artifacts whose component changed under the same version."""
    changed: dict[str, list[Node]] = {}
    for node in plan.nodes.values():
        if node.status is Status.KEPT and source_changed(node, source_digest(node.component.cls)):
            changed.setdefault(node.component.name, []).append(node)
    return [
        f"the source of '{name}' (version {nodes[0].component.version}) changed since "
        f"{', '.join(node.label for node in nodes[:4])} was made; raise its version if the same "
        "settings now give another result"
        for name, nodes in changed.items()
    ]


def _why_unused(use: StageUse, port: str) -> str:
    needless = f"makes no use of its port '{port}' with these settings"
    return needless if port in use.component.ports else f"has no port '{port}'"
