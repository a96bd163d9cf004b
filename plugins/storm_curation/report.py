"""The report's sections on judging and curation."""

from __future__ import annotations

from functools import partial
from typing import Any

from markupsafe import Markup

from storm_curation.judge.scores import DIFFICULTY, EDUCATION
from storm_exp.report import RunRecord, Section
from storm_report.chart import Bars, Row, bar_chart, row_chart
from storm_report.markup import figure, folded, table
from storm_report.shown import Shown, distinct
from storm_report.svg import responsive

_PARTS = (("kept", "kept"), ("rejected", "dropped"))


def sections(run: RunRecord) -> list[Section]:
    """Return sections on judgements, their agreement with true labels, and curation."""
    judges = [shown for shown in distinct(run, "summary.json") if "questions" in shown.contents]
    curators = [shown for shown in distinct(run, "funnel.json") if shown.contents.get("steps")]
    result = []
    if judges:
        parts = [(shown.label, judgements(shown.contents)) for shown in judges]
        result.append(Section("Judgements", folded(parts), stage=judges[0].stage.stage))
    known = [shown for shown in judges if shown.contents.get("truth")]
    if known:
        parts = [(s.label, truth(s.contents, _unseen(s))) for s in known]
        title = "Agreement of the judge with true labels"
        result.append(Section(title, folded(parts), known[0].stage.stage))
    if curators:
        parts = [(shown.label, curation(shown.contents)) for shown in curators]
        result.append(Section("Curation", folded(parts), stage=curators[0].stage.stage))
    return result


def judgements(summary: dict[str, Any]) -> Markup:
    """Return histograms of the labels and of the label mass for each question."""
    judged = summary.get("statuses", {}).get("ok", 0)
    figures = Markup()
    for name, entry in sorted(summary["questions"].items(), key=lambda item: item[0] != EDUCATION):
        total = sum(entry["counts"]) or 1
        rows = [
            Row(label=label, parts=[("", count, "kept")], note=f"{count:,} ({count / total:.0%})")
            for label, count in zip(entry["labels"], entry["counts"], strict=True)
        ]
        mass = summary.get("label_mass", {}).get(name)
        caption = f"{name.capitalize()}: the most probable label of {judged:,} rows."
        if mass is not None:
            caption += (
                f" Mean label mass {mass:.3f}; below one half in {entry['below_half_mass']:,} rows."
            )
        chart = responsive(partial(row_chart, rows), 460)
        figures += figure(_histogram(entry["mass"], f"label mass of {name}") + chart, caption)
    others = {k: n for k, n in summary.get("statuses", {}).items() if k != "ok"}
    note = "; ".join(f"{count:,} {status}" for status, count in others.items())
    tail = Markup("<p class='note'>Not judged: {}.</p>").format(note) if note else Markup()
    return Markup('<div class="columns">{}</div>{}').format(figures, tail)


def _histogram(counts: dict[str, Any], title: str) -> Markup:
    bins, low, high = counts["counts"], counts["low"], counts["high"]
    edges = [low + (high - low) * n / len(bins) for n in range(len(bins))]
    names = [f"{edge:g}" if n % 5 == 0 else "" for n, edge in enumerate(edges)]
    bars = [Bars(name=title, values=bins, colour=0)]
    return responsive(partial(bar_chart, names, bars, y_title=f"rows by {title}", height=150), 460)


def truth(summary: dict[str, Any], unseen: set[str]) -> Markup:
    """Return the area under the ROC curve per family of corruption, and the difficulty table."""
    entry = summary["truth"]
    rows = []
    if entry.get("auc") is not None:
        note = f"{entry['auc']:.3f} · {entry['good']:,} good, {entry['bad']:,} bad rows"
        rows.append(Row(label="good against bad", parts=[("", entry["auc"], "kept")], note=note))
    families = {k: v for k, v in entry.get("families", {}).items() if v["auc"] is not None}
    for name, family in sorted(families.items(), key=lambda item: -item[1]["auc"]):
        label = f"{name} (not in the rating text)" if name in unseen else name
        note = f"{family['auc']:.3f} · {family['rows']:,} rows"
        part = ("", family["auc"], "s2" if name in unseen else "s0")
        rows.append(Row(label=label, parts=[part], note=note))
    caption = (
        "Area under the ROC curve of the expected educational value, zero-shot: the probability "
        f"that the judge scores an uncorrupted row ({entry['clean']:,} of them) above one of the "
        f"family. First row: rows with a true value of at least {entry['good_from']:g} against the "
        "others. Dashed: chance level."
    )
    html = figure(responsive(partial(row_chart, rows, maximum=1.0, reference=0.5)), caption)
    difficulty = entry.get("difficulty") or {}
    if difficulty.get("given_by_true") and difficulty.get("accuracy") is not None:
        predicted = summary["questions"][DIFFICULTY]["labels"]
        known = [label for label in predicted if label in difficulty["given_by_true"]]
        lines = [
            [f"truly {label}", *(f"{difficulty['given_by_true'][label][g]:,}" for g in predicted)]
            for label in known
        ]
        header = ["difficulty", *(f"judged {label}" for label in predicted)]
        caption = f"Difficulty: {difficulty['accuracy']:.1%} of the rows got the true label."
        html += figure(table(header, lines), caption)
    return html


def _unseen(judge: Shown) -> set[str]:
    """Return the families of corruption that do not occur in the corpus's rating text."""
    names: set[str] = set()
    for keys in judge.stage.inputs.values():
        for key in [keys] if isinstance(keys, str) else keys:
            stage = judge.cell.find(key)
            world = stage.read("world.json") if stage else None
            names |= set((world or {}).get("unseen_families", []))
    return names


def curation(funnel: dict[str, Any]) -> Markup:
    """Return the funnel, the reasons for rejecting rows, and examples of both kinds."""
    read = funnel["read"]
    rows = [Row(label="read", parts=[("kept", read, "kept")], note=f"{read:,} rows")]
    reasons = []
    for step in funnel["steps"]:
        lost = sum(step["rejected"].values())
        parts = [("kept", step["kept"], "kept"), ("rejected", lost, "dropped")]
        note = f"{step['kept']:,} kept" + (f", {lost:,} rejected" if lost else "")
        rows.append(Row(label=step["step"], parts=parts, note=note))
        reasons += [
            [step["step"], k, f"{n:,}", f"{n / read:.1%}"] for k, n in step["rejected"].items()
        ]
    splits = ", ".join(f"{name} {count:,}" for name, count in funnel.get("splits", {}).items())
    caption = f"Rows left after each step, of {read:,}. Splits: {splits}."
    html = figure(responsive(partial(row_chart, rows, maximum=read, legend=_PARTS)), caption)
    if reasons:
        html += figure(
            table(["step", "reason", "rows", "of all"], reasons), "Why rows were rejected."
        )
    examples = funnel.get("examples", {})
    for verdict in ("kept", "rejected"):
        cards = Markup().join(_card(row, verdict) for row in examples.get(verdict, []))
        if cards:
            box = (
                '<details{}><summary>{} examples</summary><div class="examples">{}</div></details>'
            )
            html += Markup(box).format(Markup(" open"), verdict.capitalize(), cards)
    return html


def _card(row: dict[str, Any], verdict: str) -> Markup:
    head = " · ".join(str(row[k]) for k in ("id", "source", "reason") if row.get(k))
    turns = Markup().join(
        Markup('<p class="turn"><span class="role">{}</span> {}</p>').format(
            m["role"], m["content"]
        )
        for m in row.get("messages", [])
    )
    card = Markup('<div class="example {}"><p class="head">{}</p>{}</div>')
    return card.format(verdict, head, turns)
