"""What a plan will cost: tokens, operations, memory, disk and hours, stage by stage."""

from __future__ import annotations

import inspect
import shutil
from typing import Any

from storm_exp._contract.accelerator import GIB
from storm_exp._contract.cost import Cost, Hardware
from storm_exp._contract.errors import PlanError, strangers_code
from storm_exp._plan.plan import Plan, PlannedArtifact, Status

_ENOUGH = 0.01
"""Hours of a card below which nobody plans."""


class Estimate:
    """The costs of the artifacts that a plan will make, as far as their components say."""

    def __init__(self, plan: Plan) -> None:
        """Estimate for the card that the runtime names, or for a usual one."""
        self._runtime = plan.cells[0].recipe.runtime
        self._root = plan.store.root
        self.hardware = Hardware.of(self._runtime, plan.scale == "full size")
        self.costs: list[tuple[PlannedArtifact, Cost]] = []
        for node in plan.nodes.values():
            cost = _cost_of(node, self.hardware) if node.status is Status.TO_MAKE else None
            if cost and (cost.tokens or cost.flops or cost.memory or cost.disk):
                self.costs.append((node, cost))

    def hours(self, cost: Cost) -> float:
        """Return the hours of one card that a stage's operations fill, 0 where it needs none."""
        speed = self.hardware.card.flops * self._runtime.utilisation
        return 0.0 if cost.on_host else (cost.flops or 0.0) / speed / 3600

    def problem(self) -> str:
        """Return which stages do not fit on the card and what helps; empty when all do."""
        card = self.hardware.card
        large = [
            f"{node.label} needs about {_gib(cost.memory)}"
            for node, cost in self.costs
            if card.memory and not cost.on_host and (cost.memory or 0.0) > card.memory
        ]
        if not large:
            return ""
        return (
            f"too large for {card.name}, which has {_gib(card.memory)} on each device: "
            f"{', '.join(large)}; take more devices (runtime.devices), a larger card "
            "(runtime.card), or settings that need less"
        )

    def check(self) -> None:
        """Raise PlanError for stages that do not fit on the card."""
        if self.problem():
            raise PlanError(self.problem())

    def lines(self) -> list[str]:
        """Return the table and what it assumes; nothing when no component says what it takes."""
        if not any(cost.flops or cost.memory for _, cost in self.costs):
            return []
        card, count = self.hardware.card, self.hardware.devices
        header = ["estimate", "tokens", "FLOPs", "memory", "disk", f"{card.name} hours"]
        rows = [self._row(node.label, cost) for node, cost in self.costs]
        flops = sum(cost.flops or 0.0 for _, cost in self.costs if not cost.on_host)
        rows.append(self._row("all", Cost(flops=flops)))
        columns = [n for n in range(6) if any(row[n] for row in rows)]
        widths = [max(len(row[n]) for row in [header, *rows]) for n in range(6)]
        out = [""]
        for row in [header, *rows]:
            cells = [row[0].ljust(widths[0]), *(row[n].rjust(widths[n]) for n in columns[1:])]
            out.append("  ".join(cells).rstrip())
        share = f"{self._runtime.utilisation:.0%} of {card.flops / 1e12:.3g} TFLOP/s"
        devices = f", memory on each of {count} devices" if count > 1 else ""
        out.append(f"assumed: {'; '.join([share + devices, *self._assumptions()])}")
        return [*out, *filter(None, [self.problem(), self._space()]), ""]

    def _space(self) -> str:
        """Return a warning where the store's disk has no room for what is to be made."""
        needed = sum(cost.disk or 0.0 for _, cost in self.costs)
        there = next(p for p in (self._root, *self._root.parents) if p.is_dir())
        free = shutil.disk_usage(there).free
        if needed <= free:
            return ""
        return f"warning: {_gib(free)} are free at {there}, and {_gib(needed)} are to be written"

    def _row(self, label: str, cost: Cost) -> list[str]:
        hours = self.hours(cost)
        memory = _gib(cost.memory) + (" host" if cost.on_host else "") if cost.memory else ""
        return [
            label,
            _count(cost.tokens, "B").strip(),
            f"{cost.flops:.2e}" if cost.flops else "",
            memory,
            f"{_count(cost.disk, 'G')}B" if cost.disk else "",
            f"{hours:,.2f}" if hours >= _ENOUGH else "",
        ]

    def _assumptions(self) -> list[str]:
        """Return what stages assume, each once, with the stages that do."""
        by: dict[str, list[str]] = {}
        for node, cost in self.costs:
            if cost.assumes:
                by.setdefault(cost.assumes, []).append(node.stage)
        return [f"{text} ({', '.join(dict.fromkeys(names))})" for text, names in by.items()]


def _cost_of(node: PlannedArtifact, hardware: Hardware) -> Cost | None:
    """Return what making a node takes, None where its component does not say.

    A component's `cost` takes `hardware`, `spec` (of the artifact) and the specs of its inputs,
    those that it names.
    """
    compute: Any = getattr(node.settings, "cost", None)
    if compute is None:
        return None
    given = {"hardware": hardware, "spec": node.spec, **node.input_specs()}
    wanted = inspect.signature(compute).parameters
    with strangers_code(f"{node.label}: the component '{node.component.name}' (cost)"):
        cost = compute(**{name: value for name, value in given.items() if name in wanted})
        if not (cost is None or isinstance(cost, Cost)):
            raise TypeError(f"{cost!r:.100} is no Cost")
    return cost


def _count(number: float | None, billion: str) -> str:
    for unit, size in (("T", 1e12), (billion, 1e9), ("M", 1e6), ("K", 1e3)):
        if number and number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} " if number else ""


def _gib(size: float | None) -> str:
    amount = (size or 0.0) / GIB
    return f"{amount:,.0f} GiB" if amount >= 100 else f"{amount:.3g} GiB"
