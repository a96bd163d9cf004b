"""The verb `plan`: what a run or a sweep would do."""

from __future__ import annotations

import itertools
from typing import Any

from storm_exp._contract.errors import plugin_code
from storm_exp._contract.plugins import load_plugins
from storm_exp._plan.difference import explain_difference
from storm_exp._plan.notices import list_notices
from storm_exp._plan.planned_artifact import Status
from storm_exp._run import console
from storm_exp._run.answer import Answer
from storm_exp._run.run import Composition, check_here, make_plan


def show(compositions: list[Composition], *, why: bool = False, online: bool = False) -> Answer:
    """Return stages, keys, status and specs; an error for downloads that are not available.

    With `why`, also differences to artifacts in the store. With `online`, the network is asked
    about downloads.
    """
    plan = make_plan(compositions)
    if not plan.cells[0].recipe.runtime.accelerator:  # the plan is for another machine
        check_here(plan)
    rows = [["stage", "component", "key", "", "spec"]]
    items: list[dict[str, Any]] = []
    named = plan.labels()
    for key, node in plan.nodes.items():
        status = "damaged" if node.damage else node.status.value
        if node.evicted and node.status is Status.NOT_NEEDED:
            status = "evicted"
        # Values from a damaged manifest may be of any type.
        with plugin_code(f"{named[key]}: the component '{node.component.name}' (summary)"):
            summary = node.spec.summary()
        rows.append([named[key], node.component.name, node.key[:12], status, summary])
        items.append(
            {"stage": named[key], "component": node.component.name, "key": key, "status": status}
            | {"spec": summary, "inputs": node.input_keys()}
        )
    hook = load_plugins().hook
    answers = hook.storm_look_up(plan=plan, online=online)
    online_lines = itertools.chain(*(lines for lines, _ in answers))
    problems = list(itertools.chain(*(lines for _, lines in answers)))
    notices = itertools.chain(*hook.storm_plan_notices(plan=plan))
    notes = [*notices, *list_notices(plan), *online_lines]
    if why:
        manifests = list(plan.store.manifests())
        for node in plan.to_make():
            notes += [f"why {named[node.key]}: {'; '.join(explain_difference(node, manifests))}"]
    table = [console.headline(plan), *console.align(rows)]
    return Answer("plan", items, table, notes, "; ".join(problems))
