"""The estimated cost of a plan: tokens, FLOPs, memory, disk and hours, stage by stage."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import Any

from storm_exp import Cost, Plan, PlanError, PlannedArtifact, value_digest
from storm_models.estimate.hardware import GIB, Hardware

_ENOUGH = 0.01
"""Hours below which none are shown."""


class Estimate:
    """The costs of the artifacts that a plan will make, where their components estimate them."""

    def __init__(self, plan: Plan) -> None:
        """Estimate for the accelerator that the runtime names, or for a default one."""
        self._runtime = plan.cells[0].recipe.runtime
        self._root = plan.store.root
        self.hardware = Hardware.of(self._runtime, plan.scale == "full size")
        self.costs: list[tuple[PlannedArtifact, Cost]] = []
        self._labels = plan.labels()
        self._unknown: list[PlannedArtifact] = []
        """Artifacts that compute for an unknown time."""
        missing = set(plan.to_make())
        furthest = _furthest(plan.to_make())
        for node in plan.nodes.values():
            cost = node.cost(hardware=self.hardware) if node in missing else None
            if cost and furthest.get(node, node) is not node:
                passing = f"made in passing by {furthest[node].label}"
                cost = Cost(disk=cost.disk, assumes=passing)
            if cost and (cost.tokens or cost.flops or cost.memory or cost.disk):
                self.costs.append((node, cost))
                # A stage that needs memory computes, unless it only moves weights on the host.
                if cost.flops is None and cost.memory is not None and not cost.on_host:
                    self._unknown.append(node)

    def hours(self, cost: Cost) -> float:
        """Return the accelerator hours of a stage, 0 where it needs no accelerator."""
        speed = self.hardware.accelerator.flops * self._runtime.utilisation
        return 0.0 if cost.on_host else (cost.flops or 0.0) / speed / 3600

    def problem(self) -> str:
        """Return which stages do not fit and what to change; empty when all fit."""
        accelerator = self.hardware.accelerator
        room = accelerator.memory
        large = [
            f"{node.label} needs about {_gib(cost.memory)}"
            for node, cost in self.costs
            if room and not cost.on_host and (cost.memory or 0.0) > room
        ]
        if not large:
            return ""
        return (
            f"too large for {accelerator.name}, which has {_gib(room)} on each device: "
            f"{', '.join(large)}; take more devices (runtime.devices), a larger accelerator "
            "(runtime.accelerator), or settings that need less"
        )

    def check(self) -> None:
        """Raise PlanError for stages that do not fit."""
        if self.problem():
            raise PlanError(self.problem())

    def lines(self) -> list[str]:
        """Return the table and its assumptions; nothing when no component estimates its cost."""
        if not any(cost.flops or cost.memory for _, cost in self.costs):
            return []
        accelerator, count = self.hardware.accelerator, self.hardware.devices
        header = ["estimate", "tokens", "FLOPs", "memory", "disk", f"{accelerator.name} hours"]
        rows = [self._row(self._labels[node.key], cost) for node, cost in self.costs]
        flops = sum(cost.flops or 0.0 for _, cost in self.costs if not cost.on_host)
        label = "all that is known" if self._unknown else "all"
        rows.append(self._row(label, Cost(flops=flops)))
        columns = [n for n in range(6) if any(row[n] for row in rows)]
        widths = [max(len(row[n]) for row in [header, *rows]) for n in range(6)]
        table = [""]
        for row in [header, *rows]:
            cells = [row[0].ljust(widths[0]), *(row[n].rjust(widths[n]) for n in columns[1:])]
            table.append("  ".join(cells).rstrip())
        share = f"{self._runtime.utilisation:.0%} of {accelerator.flops / 1e12:.3g} TFLOP/s"
        devices = f", memory on each of {count} devices" if count > 1 else ""
        table.append(f"assumed: {'; '.join([share + devices, *self._assumptions()])}")
        further = [self._wall_time(), self._left_out(), self.problem(), self._space()]
        return [*table, *filter(None, further), ""]

    def _wall_time(self) -> str:
        """Return the hours from start to end where there are several devices; else empty."""
        count, wall = self.hardware.devices, 0.0
        if count == 1:
            return ""
        on_all: dict[str, None] = {}
        on_one: dict[str, None] = {}
        for node, cost in self.costs:
            if hours := self.hours(cost):
                shared = uses_all_devices(node.settings)
                wall += hours / count if shared else hours
                (on_all if shared else on_one)[node.stage] = None
        if wall < _ENOUGH:
            return ""
        parts = ((on_all, f"all {count} devices"), (on_one, "one device"))
        shown = ", ".join(f"{' and '.join(names)} on {where}" for names, where in parts if names)
        return f"{wall:,.2f} hours of wall time, one stage after another: {shown}"

    def _left_out(self) -> str:
        """Return the stages that the sum leaves out; empty where it leaves out none."""
        counts = Counter(node.stage for node in self._unknown)
        if not counts:
            return ""
        stages = ", ".join(f"{count} {stage}" for stage, count in counts.items())
        return f"not in the sum, as their time is unknown: {stages}"

    def _space(self) -> str:
        """Return a warning where the store's disk has too little room; else empty."""
        needed = sum(cost.disk or 0.0 for _, cost in self.costs)
        existing = next(p for p in (self._root, *self._root.parents) if p.is_dir())
        free = shutil.disk_usage(existing).free
        if needed <= free:
            return ""
        return f"warning: {_gib(needed)} will be written, and {existing} has {_gib(free)} free"

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
        """Return each assumption once, with the stages that make it."""
        by: dict[str, list[str]] = {}
        for node, cost in self.costs:
            if cost.assumes:
                by.setdefault(cost.assumes, []).append(node.stage)
        return [f"{text} ({', '.join(dict.fromkeys(names))})" for text, names in by.items()]


def uses_all_devices(settings: Any) -> bool:
    """Return whether a stage with these settings is divided over the devices of the runtime.

    Its component has the attribute `distributed`, or `serves` for one that starts a server on each.
    """
    return bool(getattr(settings, "distributed", False) or getattr(settings, "serves", False))


def _furthest(nodes: list[PlannedArtifact]) -> dict[PlannedArtifact, PlannedArtifact]:
    """Return the node that goes furthest for each that does a part of the same work.

    A component with parts has the method `shared_work`, which returns a digest of the settings of
    the whole, and how far this part goes.
    """
    groups: dict[str, list[tuple[float, PlannedArtifact]]] = {}
    for node in nodes:
        if share := getattr(node.settings, "shared_work", None):
            digest, extent = share()
            work = value_digest([digest, node.input_keys()])
            groups.setdefault(work, []).append((extent, node))
    longest = {work: max(parts, key=lambda part: part[0])[1] for work, parts in groups.items()}
    return {node: longest[work] for work, parts in groups.items() for _, node in parts}


def _count(number: float | None, billion: str) -> str:
    for unit, size in (("T", 1e12), (billion, 1e9), ("M", 1e6), ("K", 1e3)):
        if number and number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} " if number else ""


def _gib(size: float | None) -> str:
    amount = (size or 0.0) / GIB
    return f"{amount:,.0f} GiB" if amount >= 100 else f"{amount:.3g} GiB"
