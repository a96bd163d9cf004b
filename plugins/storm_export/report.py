"""The report's section on compression."""

from __future__ import annotations

from functools import partial
from typing import Any

from markupsafe import Markup

from storm_exp.report import RunRecord, Section
from storm_report.chart import Row, row_chart
from storm_report.markup import figure, folded, size
from storm_report.shown import distinct
from storm_report.svg import responsive


def sections(run: RunRecord) -> list[Section]:
    """Return the section on the run's compressed models, empty if there are none."""
    compressed = [s for s in distinct(run, "compression.json") if s.contents.get("bytes_before")]
    if not compressed:
        return []
    parts = [(shown.label, compression(shown.contents)) for shown in compressed]
    return [Section("Compression", folded(parts), stage=compressed[0].stage.stage)]


def compression(contents: dict[str, Any]) -> Markup:
    """Return a chart of the bytes of the weight files before and after."""
    before, after = contents["bytes_before"], contents["bytes_after"]
    rows = [
        Row(label="before", parts=[("", before, "quiet")], note=size(before)),
        Row(
            label="after", parts=[("", after, "kept")], note=f"{size(after)}, {after / before:.1%}"
        ),
    ]
    further = [
        f"{name.replace('_', ' ')} {value}"
        for name, value in contents.items()
        if name not in ("bytes_before", "bytes_after", "ratio") and isinstance(value, str | int)
    ]
    caption = "Bytes of the weight files" + "".join(f"; {text}" for text in further) + "."
    return figure(responsive(partial(row_chart, rows)), caption)
