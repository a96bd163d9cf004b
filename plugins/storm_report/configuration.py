"""The report's section on the resolved configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from storm_exp.report import CellRecord, Place, RunRecord, Section, root_sections
from storm_report.template import render


def configuration_section(record: RunRecord) -> Section:
    """Return every setting, stage by stage, and the overrides of a sweep's cells."""
    html = render("configuration.html", run=record, configuration=configuration(record.cells))
    return Section("Configuration", html, place=Place.APPENDIX)


def configuration(cells: list[CellRecord]) -> dict[str, list[tuple[str, str, bool]]]:
    """Return (setting, value, whether it was overridden) per stage, then for graph and run.

    Where the cells of a sweep differ, the value lists theirs.
    """
    overridden = {_override_path(o) for cell in cells for o in cell.overrides}
    values: dict[str, dict[str, None]] = {}
    sections = root_sections()
    for cell in cells:
        for path, value in _flatten(cell.config):
            values.setdefault(path, {})[value] = None
    groups: dict[str, list[tuple[str, str, bool]]] = {}
    for path, distinct in values.items():
        stage, _, name = path.partition(".")
        parents = {path[: m.start()] for m in re.finditer(r"\.", path)} - {stage}
        chosen = name == "component" and stage in overridden
        marked = path in overridden or bool(parents & overridden) or chosen
        if f"{stage}.component" in values:
            groups.setdefault(stage, []).append((name, " | ".join(distinct), marked))
        elif stage == "graph":
            groups.setdefault("graph", []).append((name, " | ".join(distinct), marked))
        elif stage in sections:
            groups.setdefault("run", []).append((path, " | ".join(distinct), marked))
    return {
        name: groups[name] for name in sorted(groups, key=lambda name: name in [*sections, "run"])
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
