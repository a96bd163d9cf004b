"""Notices about a plan for the user, besides its table."""

from __future__ import annotations

import re

from storm_exp._compose.graph import Stage
from storm_exp._compose.provenance import Origins
from storm_exp._contract.errors import plugin_code
from storm_exp._plan.difference import source_digest
from storm_exp._plan.plan import Plan
from storm_exp._plan.planned_artifact import PlannedArtifact, Status


def list_notices(plan: Plan) -> list[str]:
    """Return lines about unused edges, changed sources, damaged artifacts and downloads."""
    lines = [
        f"unused: {use.component.name} {_why_unused(use, port)} (graph.{use.name}.{port})"
        for cell in plan.cells
        for use in cell.recipe.stages.values()
        for port in use.unused
        if _is_the_users(use, port, cell.recipe.origins)
    ]
    # A shipped recipe has stages that only another choice needs: those are worth no line.
    recipe = plan.cells[0].recipe
    deciding = {s.name: _deciding_settings(s) for s in recipe.stages.values() if s.unused}
    told = recipe.origins.own_recipe or len(plan.cells) > 1
    for word in recipe.origins.overrides:
        name, *within = re.split(r"[@=]", word.lstrip("+~"))[0].split(".")
        told |= name in ("targets", "graph", *recipe.idle)
        told |= name in deciding and (not within or within[0] in deciding[name])
    if told and (idle := [n for n in recipe.idle if all(n in c.recipe.idle for c in plan.cells)]):
        lines.append(f"not planned, because nothing needs it: {', '.join(idle)}")
    lines += [
        f"note: {path} is read from this machine's environment, and its value enters the key"
        for cell in plan.cells
        for use in cell.recipe.stages.values()
        for path in use.surroundings
    ]
    lines += [
        f"damaged, but nothing needs it: {node.label} ({node.damage})"
        for node in plan.nodes.values()
        if node.damage and node.status is Status.NOT_NEEDED
    ]
    lines += [f"warning: {text}" for text in _changed_sources(plan)]
    for node in plan.to_make():
        lines += [f"note: {text} ({node.label})" for text in _ask(node, "notes")]
    return list(dict.fromkeys([*lines, *_to_fetch(plan)]))


def _to_fetch(plan: Plan) -> list[str]:
    """Return a line for each download, with the stages that need it."""
    needed: dict[str, dict[str, None]] = {}
    for node in plan.to_make():
        for what in _ask(node, "fetches"):
            needed.setdefault(what, {})[node.stage] = None
    return [f"to fetch: {what} ({', '.join(stages)})" for what, stages in needed.items()]


def _ask(node: PlannedArtifact, hook: str) -> list[str]:
    """Return the lines that a method of the node's component returns, if it has the method."""
    method = getattr(node.settings, hook, None)
    with plugin_code(f"{node.label}: the component '{node.component.name}' ({hook})"):
        return list(method()) if method is not None else []


def _changed_sources(plan: Plan) -> list[str]:
    """Return a warning for kept artifacts whose component changed without a new version."""
    changed: dict[str, list[PlannedArtifact]] = {}
    for node in plan.nodes.values():
        digest = source_digest(node.component.cls)
        # Artifacts that were made without a digest, or now have the same one, are unchanged.
        if node.manifest is not None and node.manifest.made.get("source", digest) != digest:
            changed.setdefault(node.component.name, []).append(node)
    return [
        f"the source of '{name}' (version {nodes[0].component.version}) changed since "
        f"{', '.join(node.label for node in nodes[:4])} was made; raise its version if the same "
        "settings now give another result"
        for name, nodes in changed.items()
    ]


def _is_the_users(use: Stage, port: str, origins: Origins) -> bool:
    """Return whether an edge is unused because of what the user wrote.

    A shipped recipe connects the ports of all components of a menu, and those that only some
    settings need, so that one override can exchange them. Of those a notice is worth only a port
    that the component lacks which the user chose.
    """
    chosen = [] if port in use.component.ports else [use.name]
    return origins.own_recipe or origins.wrote(f"graph.{use.name}.{port}", *chosen)


def _deciding_settings(use: Stage) -> tuple[str, ...]:
    """Return the names that a component reads to say which ports are idle, settings among them."""
    method = getattr(use.settings, "idle_ports", None)
    return tuple(method.__code__.co_names) if method is not None else ()


def _why_unused(use: Stage, port: str) -> str:
    needless = f"makes no use of its port '{port}' with these settings"
    return needless if port in use.component.ports else f"has no port '{port}'"
