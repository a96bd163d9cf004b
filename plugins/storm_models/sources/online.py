"""A check, over the network, of the files that a plan would fetch.

A component may have `look_up(self) -> list[str]`: within seconds, it asks the server for what its
settings name, and returns a line for each thing that is available. It raises SettingError
or InputError for what does not exist, and OSError if the server does not answer.
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
    """Return (lines about what is available online, problems)."""
    nodes = _asking(plan)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(_ask, nodes))
    notices, problems = [], []
    for node, answer in zip(nodes, answers, strict=True):
        if isinstance(answer, StormError):
            problems.append(node.locate(answer))
        elif isinstance(answer, Exception):
            problems.append(f"{node.stage}: not checked, as the server does not answer ({answer})")
        else:
            notices += [f"online: {line} ({node.stage})" for line in answer]
    return list(dict.fromkeys(notices)), list(dict.fromkeys(problems))


def _asking(plan: Plan) -> list[PlannedArtifact]:
    """Return the nodes to make that would fetch files and can be looked up; equal settings once."""
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
    except Exception as error:  # clients of the network raise exceptions of many types
        return OSError(f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}")
    return lines
