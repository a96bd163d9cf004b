"""The report's sections on pruning: importance, and what was kept."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from markupsafe import Markup

from storm_exp.report import RunRecord, Section
from storm_minitron.depth.minitron_depth import Criterion, least_important
from storm_report.chart import Line, Row, line_chart, row_chart
from storm_report.markup import figure, folded, number, table
from storm_report.shown import distinct
from storm_report.svg import responsive

_AXES = {"channels": "hidden channels", "neurons": "MLP neurons", "heads": "attention heads"}


def sections(run: RunRecord) -> list[Section]:
    """Return the sections on the run's scans and pruned models."""
    result = []
    for title, file, show in (
        ("Importance of channels, neurons and heads", "importance.json", importance),
        ("Importance of layers", "blocks.json", blocks),
        ("Pruning", "pruning.json", pruning),
    ):
        entries = [entry for entry in distinct(run, file) if entry.contents]
        if entries:
            parts = [(entry.label, show(entry.contents)) for entry in entries]
            result.append(Section(title, folded(parts), stage=entries[0].stage.stage))
    return result


def importance(contents: dict[str, Any]) -> Markup:
    """Return curves of the share of the importance that the most important parts have."""
    lines = [
        Line(name=_AXES.get(axis, axis), points=[(x, y) for x, y in points], colour=colour)
        for colour, (axis, points) in enumerate(contents.get("curves", {}).items())
    ]
    caption = (
        "Share of the importance that the most important channels (of the model), neurons and "
        f"heads (mean over the layers) have; from the activations of {contents['samples']:,} rows, "
        f"{contents['tokens']:,} tokens."
    )
    draw = partial(line_chart, lines, x_title="share kept", y_title="share of the importance")
    return figure(responsive(draw), caption + _left_out(contents))


def blocks(contents: dict[str, Any]) -> Markup:
    """Return curves of the loss without each run of layers, and the least important runs."""
    lines, rows = [], []
    whole = contents["whole"]
    depth, counts = contents["layers"], contents["counts"]
    for colour, count in enumerate(counts):
        entries = [c for c in contents["candidates"] if c["count"] == count]
        points = [(c["first"], c["loss"]) for c in entries if math.isfinite(c["loss"])]
        lines.append(Line(name=f"without {count}", points=points, colour=colour, marks=True))
        best = {by: least_important(contents, count, by) for by in Criterion}
        runs = [_ranges(list(range(first, first + count))) for first in best.values()]
        rows.append([str(count), *runs])
    if not counts:
        single = [(float(first), row[0]) for first, row in enumerate(contents["influence"])]
        lines = [Line(name="block influence", points=single, colour=0, marks=True)]
        caption = "Block influence: 1 - cosine between the input and the output of each layer."
        draw = partial(line_chart, lines, x_title="layer", y_title="block influence")
        return figure(responsive(draw), caption + _left_out(contents))
    ends = [(0.0, whole["loss"]), (float(depth - min(counts)), whole["loss"])]
    lines.append(Line(name="whole model", points=ends, colour=len(counts), dashed=True))
    caption = (
        f"Loss on the answers of {contents['samples']:,} held-out rows "
        f"({contents['answer_tokens']:,} tokens), in nats per token, without each run of layers. "
        f"Whole model: {number(whole['loss'])}, {whole['exact_match']:.1%} of the answers and "
        f"{whole['token_accuracy']:.1%} of their tokens correct."
    )
    html = figure(
        responsive(partial(line_chart, lines, x_title="first layer left out", y_title="loss")),
        caption + _left_out(contents),
    )
    header = ["layers left out", *(by.value.replace("_", " ") for by in Criterion)]
    return html + figure(table(header, rows), "The least important run, by each criterion.")


def pruning(contents: dict[str, Any]) -> Markup:
    """Return a chart of the kept share of the parameters and of every axis."""
    before, after = contents["parameters"]
    rows = [_row("parameters", before, after)]
    if contents["method"] == "minitron_depth":
        depth, dropped = contents["layers"], contents["dropped"]
        rows.append(_row("layers", depth, depth - len(dropped)))
        caption = f"Dropped: {_ranges(dropped)} of the layers 0 to {depth - 1}"
        by = contents["by"].replace("_", " ")
        caption += ", as given." if by == "given" else f", least important by {by}."
        return figure(responsive(partial(row_chart, rows)), caption)
    for axis in contents["axes"]:
        held = axis["importance_held"]
        low, high = (f"{share:.1%}" for share in (min(held), max(held)))
        spread = low if low == high else f"{low} to {high}"
        note = f"with {spread} of the importance"
        rows.append(_row(_AXES[axis["name"]], axis["before"], axis["after"], note))
    caption = "Kept parts, with their share of the importance (neurons and heads: by layer)."
    if contents["rescale_norms"]:
        caption += " Norms were rescaled."
    return figure(responsive(partial(row_chart, rows)), caption)


def _row(label: str, before: float, after: float, further: str = "") -> Row:
    note = f"{after:,} of {before:,} ({after / before:.0%})"
    parts = [("kept", after / before, "kept"), ("dropped", 1 - after / before, "dropped")]
    return Row(label=label, parts=parts, note=f"{note} {further}".rstrip())


def _left_out(contents: dict[str, Any]) -> str:
    left_out = contents.get("left_out", {})
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
    return f" Left out: {reasons}." if left_out else ""


def _ranges(layers: list[int]) -> str:
    """Return [1, 2, 3, 7] as `1 to 3, 7`."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(f"{r[0]} to {r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)
