"""What the network has of what a plan would fetch.

A component may have `look_up(self) -> list[str]`: it asks, within seconds, whether what its
settings name can be had, and returns a line for each thing that it found. It raises SettingError
or InputError for what is not there, and OSError when nobody answers.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from storm_exp import Plan, PlannedArtifact, StormError

_AT_ONCE = 8


def not_checked(plan: Plan) -> list[str]:
    """Return a line about the stages whose files or data only the network knows."""
    stages = list(dict.fromkeys(node.stage for node in _asking(plan)))
    if not stages:
        return []
    what = ", ".join(stages)
    return [f"not checked: whether the hub has what {what} would fetch (plan --online asks it)"]


def look_up(plan: Plan) -> tuple[list[str], list[str]]:
    """Return (lines about what can be had, problems)."""
    nodes = _asking(plan)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(_ask, nodes))
    found, problems = [], []
    for node, answer in zip(nodes, answers, strict=True):
        if isinstance(answer, StormError):
            problems.append(node.locate(answer))
        elif isinstance(answer, Exception):
            problems.append(f"{node.stage}: not checked, for nobody answers ({answer})")
        else:
            found += [f"online: {line} ({node.stage})" for line in answer]
    return list(dict.fromkeys(found)), list(dict.fromkeys(problems))


def _asking(plan: Plan) -> list[PlannedArtifact]:
    """Return what is to be made, would fetch something, and can ask for it; alike settings once."""
    nodes: dict[str, PlannedArtifact] = {}
    for node in plan.to_make():
        fetches = getattr(node.settings, "fetches", None)
        if fetches is not None and hasattr(node.settings, "look_up") and fetches():
            nodes.setdefault(f"{node.component.name} {node.settings}", node)
    return list(nodes.values())


def _ask(node: PlannedArtifact) -> list[str] | Exception:
    try:
        lines: list[str] = node.settings.look_up()
    except (StormError, OSError) as error:
        return error
    except Exception as error:  # a client of the network may raise anything of its own
        return OSError(f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}")
    return lines
