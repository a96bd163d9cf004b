"""The verb `plan`: what a run or a sweep would do."""

from __future__ import annotations

import itertools

from storm_exp._contract.errors import PlanError, plugin_code
from storm_exp._contract.plugins import load_plugins
from storm_exp._plan.difference import explain_difference
from storm_exp._plan.notices import list_notices
from storm_exp._plan.plan import Plan
from storm_exp._run import console
from storm_exp._run.run import Composition, check_here, make_plan


def show(compositions: list[Composition], *, why: bool = False, online: bool = False) -> Plan:
    """Print stages, keys, status and specs.

    With `why`, also print differences to artifacts in the store. With `online`, ask the network
    about downloads, and raise PlanError for those that are not available.
    """
    plan = make_plan(compositions)
    if not plan.cells[0].recipe.runtime.accelerator:  # the plan is for another machine
        check_here(plan)
    print(console.headline(plan))
    rows = [["stage", "component", "key", "", "spec"]]
    named = plan.labels()
    for key, node in plan.nodes.items():
        status = "damaged" if node.damage else node.status.value
        # Values from a damaged manifest may be of any type.
        with plugin_code(f"{named[key]}: the component '{node.component.name}' (summary)"):
            summary = node.spec.summary()
        rows.append([named[key], node.component.name, node.key[:12], status, summary])
    print("\n".join(console.align(rows)))
    hook = load_plugins().hook
    answers = hook.storm_look_up(plan=plan, online=online)
    online_lines = itertools.chain(*(lines for lines, _ in answers))
    problems = list(itertools.chain(*(lines for _, lines in answers)))
    notices = itertools.chain(*hook.storm_plan_notices(plan=plan))
    for line in [*notices, *list_notices(plan), *online_lines]:
        print(line)
    memos = {key for node in plan.nodes.values() if node.manifest for key in node.manifest.memos}
    kept = [key for key in memos if plan.store.find(key).manifest is not None]
    if kept:
        many = "memos" if len(kept) > 1 else "memo"
        print(f"kept beside the artifacts: {len(kept)} {many} of stages (store ls names them)")
    if why:
        manifests = list(plan.store.manifests())
        for node in plan.to_make():
            print(f"why {named[node.key]}: {'; '.join(explain_difference(node, manifests))}")
    if problems:
        raise PlanError("; ".join(problems))
    return plan
