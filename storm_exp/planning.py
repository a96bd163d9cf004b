"""The verb `plan`: what a run or a sweep would do."""

from __future__ import annotations

from storm_exp import screen
from storm_exp.bill import Bill
from storm_exp.notes import notes
from storm_exp.plan import Plan
from storm_exp.run import Composition, make_plan
from storm_exp.why import explain


def show(compositions: list[Composition], why: bool) -> Plan:
    """Print stages, keys, status and forecasts; with `why`, what differs from the store."""
    plan = make_plan(compositions)
    print(screen.headline(plan))
    rows = [["stage", "component", "key", "", "forecast"]]
    for node in plan.nodes.values():
        status = "damaged" if node.damage else node.status.value
        rows.append(
            [node.label, node.component.name, node.key[:12], status, node.forecast.summary()]
        )
    print("\n".join(screen.align(rows)))
    for line in [*Bill(plan).lines(), *notes(plan)]:
        print(line)
    if why:
        manifests = list(plan.store.manifests())
        for node in plan.to_make():
            print(f"why {node.label}: {'; '.join(explain(node, manifests))}")
    return plan
