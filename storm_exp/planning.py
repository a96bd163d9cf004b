"""The verb `plan`: what a run or a sweep would do."""

from __future__ import annotations

from storm_exp import screen
from storm_exp.maker import source_digest
from storm_exp.plan import Node, Plan, Status
from storm_exp.run import Composition, make_plan
from storm_exp.why import explain, source_changed


def show(compositions: list[Composition], why: bool) -> Plan:
    """Print stages, keys, status and forecasts; with `why`, what differs from the store."""
    plan = make_plan(compositions)
    size = screen.scale(plan)
    name = plan.cells[0].recipe.name
    print(f"recipe {name}" + (f", {size}" if size else "") + f" · {screen.summarise(plan)}")
    rows = [["stage", "component", "key", "", "forecast"]]
    for node in plan.nodes.values():
        status = "damaged" if node.damage else node.status.value
        rows.append(
            [node.label, node.component.name, node.key[:12], status, node.forecast.summary()]
        )
    print("\n".join(screen.align(rows)))
    for line in notes(plan):
        print(line)
    if why:
        manifests = list(plan.store.manifests())
        for node in plan.to_make():
            print(f"why {node.label}: {'; '.join(explain(node, manifests))}")
    return plan


def notes(plan: Plan) -> list[str]:
    """Return what a user should know of a plan: unused edges, changed sources, things to fetch."""
    lines = []
    recipe = plan.cells[0].recipe
    for use in recipe.stages.values():
        for port in use.unused:
            lines.append(
                f"unused: {use.component.name} has no port '{port}' (graph.{use.name}.{port})"
            )
    lines += [f"warning: {text}" for text in changed_sources(plan)]
    for node in plan.to_make():
        fetches = getattr(node.settings, "fetches", None)
        if fetches is not None:
            lines += [f"to fetch: {what} ({node.label})" for what in fetches()]
    return lines


def changed_sources(plan: Plan) -> list[str]:
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
