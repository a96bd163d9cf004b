"""The frame of the report: one HTML file, whose sections plugins supply.

A section is HTML as `Markup`; a plain string in its place is escaped. Sections are ordered as the
stages that they tell of, those that lead first. What several cells of a sweep share is shown once.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from storm_exp.diagram import Box, diagram
from storm_exp.recipe import SECTIONS
from storm_exp.record import CellRecord, RunRecord, StageRecord
from storm_exp.sweep import cell_settings

if TYPE_CHECKING:
    from storm_exp.plugins import Plugins

REPORT = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"
_UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1))
_FOLDED = 12
"""How many artifacts of a kind a section shows; a sweep may have more."""


@dataclasses.dataclass
class Section:
    """A part of the report."""

    title: str
    html: Markup
    stage: str = ""
    """The stage that it tells of, which decides its place."""
    lead: bool = False
    """Whether it stands before the graph: what a run was made for."""


def write_report(record: RunRecord, plugins: Plugins) -> Path:
    """Write `report.html` into the run's folder and return its path."""
    from storm_exp.sweep_section import sweep_section

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"duration": duration, "size": size}
    sections = plugin_sections(record, plugins)
    if record.is_sweep:
        sections.insert(0, sweep_section(record))
    html = environment.get_template("report.html").render(
        run=record,
        when=record.when[:16].replace("T", " "),
        command=shlex.join(record.argv),
        counts=Counter(s.status for s in distinct_stages(record)),
        failures=[s for s in distinct_stages(record) if s.status == "failed"],
        leading=[s for s in sections if s.lead],
        following=[s for s in sections if not s.lead],
        stages=stage_table(record),
        graph=stage_graph(record),
        configuration=configuration(record.cells),
        distributions=distributions(record),
    )
    file = record.directory / REPORT
    file.write_text(html, encoding="utf-8")
    return file


def plugin_sections(record: RunRecord, plugins: Plugins) -> list[Section]:
    """Return the sections of all plugins; a plugin that fails is named in place of its own."""
    order = [s.stage for cell in record.cells for s in cell.stages]
    found: list[Section] = []
    for implementation in plugins.manager.hook.storm_report_sections.get_hookimpls():
        try:
            found += _call(implementation, record)
        except Exception as error:  # a stranger's code may raise anything, and the run is done
            problem = f"{implementation.plugin_name} could not show its part of the report"
            message = Markup("<p class='problem'>{}: {}</p>").format(type(error).__name__, error)
            found.append(Section(problem, message))
    place = {name: position for position, name in reversed(list(enumerate(order)))}
    return sorted(found, key=lambda s: place.get(s.stage, len(order)))


def _call(implementation: Any, record: RunRecord) -> list[Section]:
    return list(implementation.function(*(record for _ in implementation.argnames)) or [])


def distinct_stages(record: RunRecord) -> list[StageRecord]:
    """Return the artifacts of all cells, each once."""
    return list({s.key: s for cell in record.cells for s in cell.stages}.values())


@dataclasses.dataclass(kw_only=True)
class Shown:
    """An artifact with something to show."""

    label: str
    """The stage's, and in a sweep the settings that differ for which it was made."""
    stage: StageRecord
    cell: CellRecord
    """The first cell that holds it."""
    contents: Any


def distinct(record: RunRecord, payload: str) -> list[Shown]:
    """Return every artifact, once, whose payload holds the JSON file `payload`."""
    settings = cell_settings(record)
    found: dict[str, tuple[StageRecord, list[int]]] = {}
    for number, cell in enumerate(record.cells):
        for stage in cell.stages:
            found.setdefault(stage.key, (stage, []))[1].append(number)
    shown = []
    for stage, cells in found.values():
        contents = stage.read(payload)
        if contents is None:
            continue
        first = settings[cells[0]].items()
        common = [f"{k}={v}" for k, v in first if all(settings[c][k] == v for c in cells)]
        shown.append(
            Shown(
                label=" · ".join([stage.label, *common]),
                stage=stage,
                cell=record.cells[cells[0]],
                contents=contents,
            )
        )
    return shown


def colours(record: RunRecord, artifact: str = "Checkpoint") -> dict[str, int]:
    """Return a colour per label of an artifact type: the same in every figure of a report."""
    labels = [s.label for cell in record.cells for s in cell.stages if s.artifact == artifact]
    return {label: number for number, label in enumerate(dict.fromkeys(labels))}


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]], class_: str = "") -> Markup:
    """Return an HTML table; columns of numbers are set to the right."""
    body = [[str(escape(cell)) for cell in row] for row in rows]
    right = [all(map(_is_number, filter(None, column))) for column in zip(*body, strict=True)]
    right = right or [False] * len(header)
    lines = []
    for tag, row in [("th", map(escape, header)), *(("td", row) for row in body)]:
        cells = (
            f"<{tag}{' class=number' if number else ''}>{cell}</{tag}>"
            for cell, number in zip(row, right, strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>\n")
    html = f"<thead>{lines[0]}</thead><tbody>{''.join(lines[1:])}</tbody>"
    return Markup(f'<div class="wide"><table class="{escape(class_)}">{html}</table></div>')


def figure(content: Markup, caption: str) -> Markup:
    """Return a figure with its caption, or nothing for an empty chart."""
    if not content:
        return Markup()
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>\n").format(content, caption)


def folded(parts: Sequence[tuple[str, Markup]]) -> Markup:
    """Return the only part as it is, or several as parts that fold, the first one open."""
    if len(parts) == 1:
        return parts[0][1]
    one = Markup("<details{}><summary>{}</summary>{}</details>\n")
    shown = [one.format(Markup("" if n else " open"), *p) for n, p in enumerate(parts[:_FOLDED])]
    left = len(parts) - len(shown)
    note = Markup("<p class='note'>{} more are in the store, not shown here.</p>").format(left)
    return Markup().join([*shown, *([note] if left > 0 else [])])


def stage_table(record: RunRecord) -> Markup:
    """Return what was made and kept: a line per artifact, in a sweep a line per stage."""
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
    names = ["stage", "component", "", "time to make", "peak memory", "main metric", "", "key"]
    return table(names, rows, "stages")


def _sweep_stage_table(record: RunRecord) -> Markup:
    stages: dict[str, list[StageRecord]] = {}
    for stage in distinct_stages(record):
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
        ["stage", "component", "artifacts", "", "time here", "peak memory"], rows, "stages"
    )


def stage_graph(record: RunRecord) -> Markup:
    """Return the stages of all cells as a graph, coloured by what became of them."""
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
        worst = next((s for s in ("failed", "not reached", "made") if s in statuses), "")
        note = ", ".join(dict.fromkeys(s.component for s in stages.values()))
        boxes[name] = Box(
            name=name,
            note=f"{note} ×{len(stages)}" if len(stages) > 1 else note,
            class_=worst or next(iter(statuses)),
            count=len(stages),
            tip=f"{name} ({note}): " + ", ".join(f"{n} {s}" for s, n in statuses.items()),
        )
    return diagram(boxes, list(edges)) if boxes else Markup()


def configuration(cells: list[CellRecord]) -> dict[str, list[tuple[str, str, bool]]]:
    """Return per planned stage (setting, value, whether it was given), then the graph and the rest.

    Where the cells of a sweep differ, the value lists what they have.
    """
    given = {_override_path(o) for cell in cells for o in cell.overrides}
    values: dict[str, dict[str, None]] = {}
    for cell in cells:
        for path, value in _flatten(cell.config):
            values.setdefault(path, {})[value] = None
    groups: dict[str, list[tuple[str, str, bool]]] = {}
    for path, found in values.items():
        stage, _, name = path.partition(".")
        parents = {path[: m.start()] for m in re.finditer(r"\.", path)} - {stage}
        marked = path in given or bool(parents & given) or (name == "component" and stage in given)
        if f"{stage}.component" in values:
            groups.setdefault(stage, []).append((name, " | ".join(found), marked))
        elif stage == "graph":
            groups.setdefault("graph", []).append((name, " | ".join(found), marked))
        elif stage in SECTIONS:
            groups.setdefault("run", []).append((path, " | ".join(found), marked))
    return {
        name: groups[name] for name in sorted(groups, key=lambda name: name in (*SECTIONS, "run"))
    }


def _override_path(override: str) -> str:
    """Return `partner` for `finetuner@partner=path`, `merger.t` for `+merger.t=0.3`."""
    name = override.partition("=")[0].lstrip("+~")
    return name.partition("@")[2] or name


def _flatten(values: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "null" if value is None else str(value)


def distributions(record: RunRecord) -> tuple[dict[str, str], dict[str, str]]:
    """Return the versions of what this project asks for, and of everything else."""
    installed: dict[str, str] = dict(record.environment.get("distributions", {}))
    try:
        asked = importlib.metadata.requires("storm-exp") or []
    except importlib.metadata.PackageNotFoundError:
        asked = []
    names = {"storm-exp", *(re.split(r"[^\w.-]", line)[0].lower() for line in asked)}
    first = {name: installed.pop(name) for name in sorted(names & installed.keys())}
    return first, installed


def number(value: float) -> str:
    """Return a number with four digits that matter, and no exponent where it is large."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def duration(seconds: float | None) -> str:
    """Return `4.1 s` or `3 min 12 s`."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float | None) -> str:
    """Return bytes as `812 MiB` or `1.4 GiB`."""
    if not count:
        return ""
    unit, factor = next((u, f) for u, f in _UNITS if count >= f or f == 1)
    return f"{count / factor:.{1 if factor > 2**20 else 0}f} {unit}"


def _is_number(cell: str) -> bool:
    bare = re.sub(r"<[^>]*>", "", cell)
    number = r"(&lt; ?|[+−-])?[\d.,]+%?( (s|min|h|B|KiB|MiB|GiB|±|of|to) ?.*)?"
    return re.fullmatch(number, bare) is not None
