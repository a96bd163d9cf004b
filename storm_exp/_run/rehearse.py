"""The verb `rehearse`: runs a rehearsal, and prints what it tells about the real run."""

from __future__ import annotations

import time
from pathlib import Path

from storm_exp._contract.errors import StageError, StormError
from storm_exp._contract.plugins import load_plugins
from storm_exp._plan.plan import Plan
from storm_exp._plan.planned_artifact import Status
from storm_exp._run import console
from storm_exp._run.rehearsal import FOLDER, Understudy, environment_digest, understudies
from storm_exp._run.run import Composition, carry_out, make_plan

_NEVER_REHEARSED = (
    "memory, speed and disk of the real sizes (see `storm-exp plan`)",
    "what models and data are worth: twins are random, so their scores mean nothing",
)


def rehearse_cells(compositions: list[Composition]) -> list[float | None]:
    """Rehearse composed cells and print a verdict; the objectives that it returns are None.

    The recipe itself is planned first, and an error ends the rehearsal. Raises a StormError that
    names the stage and the cause, after the verdict.
    """
    started = time.monotonic()
    root = Path(str(compositions[0].config.outputs)).expanduser() / FOLDER
    try:
        real = make_plan(compositions)
    except StormError:
        print("nothing was rehearsed: the plan refuses the recipe")
        raise
    plan, parts = understudies(real, environment_digest(load_plugins()), root)
    console.say("rehearsal: the recipe's own stages, on small stand-ins")
    for part in parts:
        console.say(f"  {part.line()}")
    account = _account(real, parts)
    total, kept = len(plan.to_make()), _kept(plan)
    try:
        carry_out(plan, compositions, root, account)
    except StageError as error:
        ran = sum(node.manifest is not None for node in plan.to_make())
        print("\n".join(["", f"rehearsal broke; {ran} of {total} stages ran", *account]))
        raise StageError(f"the rehearsal broke in {error}") from error
    seconds = time.monotonic() - started
    again = f", {kept} were rehearsed before and nothing has changed since" if kept else ""
    verdict = f"rehearsal passed: {total} stages ran in {seconds:.0f} s{again}"
    print("\n".join(["", verdict, *account]))
    return [None] * len(compositions)


def _kept(plan: Plan) -> int:
    return sum(node.status is Status.KEPT for node in plan.nodes.values())


def _account(real: Plan, parts: list[Understudy]) -> list[str]:
    """Return lines about what was replaced, and about what was not rehearsed."""
    replaced = [part for part in parts if part.substitute]
    reduced = [part for part in parts if part.reduced]
    undeclared = [part for part in parts if not part.declared]
    lines = []
    for title, found in (
        ("replaced in whole or in part", replaced),
        ("with smaller settings", reduced),
        ("as they are, declaring no rehearsal", undeclared),
    ):
        if found:
            lines.append(f"{title}: {', '.join(dict.fromkeys(part.stage for part in found))}")
    lines.append("not rehearsed:")
    runtime = real.cells[0].recipe.runtime
    devices = runtime.devices * runtime.nodes
    own = dict.fromkeys(text for part in parts for text in part.left_out)
    if devices > 1:
        own[f"how {devices} devices work together: the rehearsal used one"] = None
    return [*lines, *(f"  {text}" for text in (*own, *_NEVER_REHEARSED))]
