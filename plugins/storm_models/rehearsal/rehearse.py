"""The verb `rehearse`: runs a rehearsal, and prints its verdict on the real run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from storm_exp import (
    Answer,
    Composition,
    Plan,
    Progress,
    StageError,
    StormError,
    carry_out,
    make_plan,
)
from storm_models.rehearsal.environment import environment_digest
from storm_models.rehearsal.substitution import substitute
from storm_models.rehearsal.understudy import Understudy, cast

FOLDER = "rehearsals"
"""Folder in `outputs` for the store and the runs of rehearsals."""
_NEVER_REHEARSED = (
    "memory, speed and disk of the real sizes (see `storm-exp plan`)",
    "the quality of models and data: twins are random, so their scores mean nothing",
)


def rehearse(cells: list[Composition]) -> Answer:
    """Rehearse composed cells and print a verdict; return it with the stages, for `--json`.

    The recipe itself is planned first, and an error ends the rehearsal. Raises a StormError that
    names the stage and the cause, after the verdict.
    """
    started = time.monotonic()
    root = Path(str(cells[0].config.outputs)).expanduser() / FOLDER
    try:
        real = make_plan(cells)
    except StormError:
        print("nothing was rehearsed: the plan refuses the recipe")
        raise
    plan, parts = plan_rehearsal(real, root)
    Progress.write("rehearsal: the recipe's own stages, on small stand-ins")
    for part in parts:
        Progress.write(f"  {part.line()}")
    account = _account(real, parts)
    total = len(plan.to_make())
    known = sum(node.status.value == "kept" for node in plan.nodes.values())
    try:
        record = carry_out(plan, cells, root, account)
    except StageError as error:
        ran = sum(node.manifest is not None for node in plan.to_make())
        print("\n".join(["", f"rehearsal failed; {ran} of {total} stages ran", *account]))
        raise StageError(f"the rehearsal failed in {error}") from error
    seconds = time.monotonic() - started
    earlier = f", {known} were rehearsed before and nothing has changed since" if known else ""
    verdict = f"rehearsal passed: {total} stages ran in {seconds:.0f} s{earlier}"
    print("\n".join(["", verdict, *account]))
    shown = ("component", "status", "seconds", "directory")
    items = [
        {"stage": stage.label, **{name: getattr(stage, name) for name in shown}}
        for stage in record.stages()
    ]
    return Answer("rehearse", items, notes=[verdict, *account])


def plan_rehearsal(real: Plan, root: Path) -> tuple[Plan, list[Understudy]]:
    """Plan the rehearsal of a plan's cells; return the plan and descriptions of its stages.

    Raises PlanError for a stage that cannot be rehearsed, and PluginError for a method `rehearsal`
    that returns an unsuitable component.
    """
    parts: dict[tuple[str, str], Understudy] = {}

    def replace(stage: str, component: Any, inputs: dict[str, Any]) -> Any:
        replacement, part = cast(stage, component, inputs)
        parts.setdefault((stage, part.line()), part)
        return replacement

    plan = substitute(real, root, environment_digest(), replace)
    plan.on_twins = any(part.substitute for part in parts.values())
    return plan, list(parts.values())


def _account(real: Plan, parts: list[Understudy]) -> list[str]:
    """Return lines about what was replaced, and about what was not rehearsed."""
    lines = []
    for title, stages in (
        ("replaced in whole or in part", [part.stage for part in parts if part.substitute]),
        ("with smaller settings", [part.stage for part in parts if part.reduced]),
        ("unchanged, without a declared rehearsal", [p.stage for p in parts if not p.declared]),
    ):
        if stages:
            lines.append(f"{title}: {', '.join(dict.fromkeys(stages))}")
    lines.append("not rehearsed:")
    runtime = real.cells[0].recipe.runtime
    devices = runtime.devices * runtime.nodes
    own = dict.fromkeys(text for part in parts for text in part.left_out)
    if devices > 1:
        own[f"how {devices} devices work together: the rehearsal used one"] = None
    return [*lines, *(f"  {text}" for text in (*own, *_NEVER_REHEARSED))]
