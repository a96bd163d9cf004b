"""The report's section on the rows that were read."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from storm_exp.report import RunRecord, Section
from storm_report.markup import figure, folded, table
from storm_report.shown import distinct


def sections(run: RunRecord) -> list[Section]:
    """Return a section on how many rows were read, and why some could not be used."""
    shown_files = [s for s in distinct(run, "funnel.json") if "rejected" in s.contents]
    if not shown_files:
        return []
    parts = [(shown.label, rows_markup(shown.contents)) for shown in shown_files]
    return [Section("Data", folded(parts), stage=shown_files[0].stage.stage)]


def rows_markup(funnel: dict[str, Any]) -> Markup:
    """Return tables of the splits, the rejected rows with examples, and remarks on the others."""
    splits = [[name, f"{count:,}"] for name, count in funnel.get("splits", {}).items()]
    html = figure(table(["split", "rows"], splits), f"{funnel['read']:,} rows were read.")
    reasons = [[reason, f"{count:,}"] for reason, count in funnel["rejected"].items()]
    if reasons:
        html += figure(table(["reason", "rows"], reasons), "Rows that could not be used.")
    remarks = [[remark, f"{count:,}"] for remark, count in funnel.get("remarks", {}).items()]
    if remarks:
        caption = "Remarks on the accepted rows, such as columns that were not used."
        html += figure(table(["remark", "rows"], remarks), caption)
    examples = [
        [str(e.get("line", "")), e.get("reason", ""), e.get("detail", "")]
        for e in funnel.get("examples", [])
        if isinstance(e, dict)
    ]
    if examples:
        caption = "The first rejected rows of each reason."
        html += figure(table(["line", "reason", "detail"], examples), caption)
    return html
