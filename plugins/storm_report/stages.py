"""The report's section on stages: what was made from what, when, and at what cost."""

from __future__ import annotations

from collections import Counter

from markupsafe import Markup

from storm_exp.report import Place, RunRecord, Section, StageRecord, duration
from storm_report.diagram import Box, diagram
from storm_report.markup import number, size, table
from storm_report.rails import rails
from storm_report.svg import NARROW, both
from storm_report.template import render

_WORST_FIRST = ("failed", "interrupted", "not reached", "made")


def stage_section(record: RunRecord) -> Section:
    """Return the graph and the table of all stages."""
    html = render(
        "stages.html",
        graph=stage_graph(record),
        stages=stage_table(record),
        unused=[edge for cell in record.cells[:1] for edge in cell.unused_edges],
    )
    return Section("Stages", html, place=Place.STAGES)


def stage_table(record: RunRecord) -> Markup:
    """Return a table with a row per artifact, in a sweep a row per stage."""
    if record.is_sweep:
        return _sweep_stage_table(record)
    rows = [
        [
            s.label,
            s.component,
            Markup('<span class="dot {0}"></span>{0}').format(s.status),
            duration(s.seconds),
            size(s.peak_memory),
            number(s.metrics[s.main_metric]) if s.main_metric in s.metrics else "",
            s.main_metric if s.main_metric in s.metrics else "",
            Markup("<code>{}</code>").format(s.key[:12]),
        ]
        for s in record.cells[0].stages
    ]
    names = ["stage", "component", "status", "time to make", "peak memory"]
    names += ["main metric", "its name", "key"]
    return table(names, rows, "stages")


def _sweep_stage_table(record: RunRecord) -> Markup:
    stages: dict[str, list[StageRecord]] = {}
    for stage in record.stages():
        stages.setdefault(stage.stage, []).append(stage)
    rows = []
    for name, group in stages.items():
        counts = Counter(s.status for s in group)
        rows.append(
            [
                name,
                ", ".join(dict.fromkeys(s.component for s in group)),
                str(len(group)),
                ", ".join(f"{count} {status}" for status, count in counts.items()),
                duration(sum(s.seconds or 0.0 for s in group if s.status == "made")),
                size(max((s.peak_memory or 0 for s in group), default=0)),
            ]
        )
    return table(
        ["stage", "component", "artifacts", "status", "time here", "peak memory"], rows, "stages"
    )


def stage_graph(record: RunRecord) -> Markup:
    """Return the graph of the stages of all cells, coloured by status."""
    groups: dict[str, dict[str, StageRecord]] = {}
    edges: dict[tuple[str, str], None] = {}
    for cell in record.cells:
        owner = {stage.key: stage.stage for stage in reversed(cell.stages)}
        for stage in cell.stages:
            groups.setdefault(stage.stage, {})[stage.key] = stage
            for keys in stage.inputs.values():
                for key in [keys] if isinstance(keys, str) else keys:
                    if key in owner and owner[key] != stage.stage:
                        edges[owner[key], stage.stage] = None
    boxes = {}
    for name, stages in groups.items():
        statuses = Counter(s.status for s in stages.values())
        worst = next(
            (s for s in ("failed", "interrupted", "not reached", "made") if s in statuses), ""
        )
        note = ", ".join(dict.fromkeys(s.component for s in stages.values()))
        boxes[name] = Box(
            name=name,
            note=f"{note} ×{len(stages)}" if len(stages) > 1 else note,
            class_=worst or next(iter(statuses)),
            count=len(stages),
            tip=f"{name} ({note}): " + ", ".join(f"{n} {s}" for s, n in statuses.items()),
        )
    if not boxes:
        return Markup()
    across = diagram(boxes, list(edges))
    scrolling = Markup('<div class="wide">{}</div>').format(across)
    return both(scrolling, rails(boxes, list(edges), NARROW))
