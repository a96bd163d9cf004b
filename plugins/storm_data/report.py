"""What the report shows of reading data."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from storm_exp.report import RunRecord, Section
from storm_report.markup import figure, folded, table
from storm_report.shown import distinct


def sections(run: RunRecord) -> list[Section]:
    """Return how many rows were read, and why some could not be used."""
    shown_files = [s for s in distinct(run, "funnel.json") if "rejected" in s.contents]
    if not shown_files:
        return []
    parts = [(shown.label, rows_markup(shown.contents)) for shown in shown_files]
    return [Section("Data", folded(parts), stage=shown_files[0].stage.stage)]


def rows_markup(funnel: dict[str, Any]) -> Markup:
    """Return the splits, the rows that were turned away, with the first examples, and what was not
    used of the others.
    """
    splits = [[name, f"{count:,}"] for name, count in funnel.get("splits", {}).items()]
    html = figure(table(["split", "rows"], splits), f"{funnel['read']:,} rows were read.")
    reasons = [[reason, f"{count:,}"] for reason, count in funnel["rejected"].items()]
    if reasons:
        html += figure(table(["reason", "rows"], reasons), "Rows that could not be used.")
    remarks = [[remark, f"{count:,}"] for remark, count in funnel.get("remarks", {}).items()]
    if remarks:
        caption = "Rows that were taken, and what of them was not used or not as usual."
        html += figure(table(["remark", "rows"], remarks), caption)
    examples = [
        [str(e.get("line", "")), e.get("reason", ""), e.get("detail", "")]
        for e in funnel.get("examples", [])
        if isinstance(e, dict)
    ]
    if examples:
        html += figure(table(["line", "reason", "detail"], examples), "The first of them.")
    return html
