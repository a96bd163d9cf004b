"""The report's section on an ablation: the ledger of effects, as a figure, words and tables."""

from __future__ import annotations

from functools import partial

from markupsafe import Markup

from storm_evaluation.ablation.ledger import (
    BETTER,
    WORSE,
    Effect,
    Ledger,
    in_words,
    ledgers,
)
from storm_evaluation.ablation.measured_arms import is_ablation
from storm_evaluation.comparison.comparison import shown_interval
from storm_evaluation.tasks.names import short_names
from storm_exp.report import Place, RunRecord, Section
from storm_report.interval_chart import Interval, interval_chart
from storm_report.markup import figure, folded, table
from storm_report.svg import responsive

_COLOURS = {BETTER: "s3", WORSE: "s5"}
_NOTHING = "nothing to compare: no arm has a score"
_TITLES = {"mean": "score", "loss": "loss, of which less is better"}


def sections(run: RunRecord) -> list[Section]:
    """Return the ledgers of an ablation, one for each evaluator."""
    if run.rehearsal or not is_ablation(run):
        return []
    parts = [(ledger.evaluator, _part(ledger)) for ledger in ledgers(run)]
    stage = parts[0][0] if parts else ""
    html = folded(parts) if parts else Markup("<p class='problem'>{}</p>").format(_NOTHING)
    return [Section("What each step is worth", html, stage=stage, place=Place.TOP)]


def lines(run: RunRecord) -> list[str]:
    """Return what the ledgers of an ablation say, a line for each factor."""
    if run.rehearsal or not is_ablation(run):
        return []
    told = [
        line
        for ledger in ledgers(run)
        for line in [*(in_words(f, ledger.margin) for f in ledger.factors), *_scope(ledger)]
    ]
    return [f"effect   {line}" for line in told or [_NOTHING]]


def _scope(ledger: Ledger) -> list[str]:
    """Return what a ledger does not tell."""
    if ledger.runs > 1 or not ledger.factors:
        return ledger.problems
    alone = "of one seed: intervals cover the questions, not another training; give seed=0,1,2"
    return [alone, *ledger.problems]


def _part(ledger: Ledger) -> Markup:
    said = [in_words(factor, ledger.margin) for factor in ledger.factors] + ledger.problems
    words = Markup("<ul>{}</ul>").format(
        Markup().join(Markup("<li>{}</li>").format(line) for line in said)
    )
    charts = [
        figure(_chart(ledger, kind), _caption(ledger))
        for kind in _TITLES
        if any(kind in factor.mean for factor in ledger.factors)
    ]
    return words + Markup().join(charts) + _means(ledger) + _tasks(ledger)


def _chart(ledger: Ledger, kind: str) -> Markup:
    rows = [
        Interval(
            label=factor.name,
            value=effect.difference,
            low=effect.low,
            high=effect.high,
            note=factor.note,
            class_=_COLOURS.get(effect.verdict, "s0"),
        )
        for factor in ledger.factors
        if (effect := factor.mean.get(kind))
    ]
    title = f"what a factor adds to the {_TITLES[kind]}"
    return responsive(partial(interval_chart, rows, title=title, margin=ledger.margin))


def _caption(ledger: Ledger) -> str:
    questions = sum(ledger.questions.values())
    count = f"{questions:,} questions in {len(ledger.questions)} tasks"
    if ledger.runs == 1:
        return (
            f"One run of each arm over {count}: the intervals cover these trained models and the "
            "questions, not another training, and each holds by itself, while verdicts are "
            "corrected for all effects. Give seeds, as in seed=0,1,2."
        )
    return (
        f"{ledger.runs} runs of each arm over {count}; the intervals cover runs and questions, at "
        f"{ledger.confidence:.0%} for all effects together. Within the shaded band, "
        f"± {ledger.margin:g}, an effect counts as none. What is better or worse is decided by "
        "Holm's p-values; where the interval says otherwise, the verdict adds that."
    )


def _cells(effect: Effect) -> list[str]:
    p = "< 0.001" if effect.p < 0.001 else f"{effect.p:.3f}"
    ends = f"{effect.low:+.3f} to {effect.high:+.3f}"
    interval = shown_interval(effect.low, effect.high, ends)
    return [f"{effect.difference:+.3f}", interval, p, effect.said]


def _means(ledger: Ledger) -> Markup:
    header = ["factor", "its control", "measure", "effect", "interval", "p (Holm)", "verdict"]
    rows = [
        [factor.name, factor.control or factor.note, kind.replace("_", "-"), *_cells(effect)]
        for factor in ledger.factors
        for kind, effect in {**factor.mean, **factor.measures}.items()
    ]
    return table(header, rows, "scores") if rows else Markup()


def _tasks(ledger: Ledger) -> Markup:
    if len(ledger.questions) < 2 or not ledger.factors:
        return Markup()
    names = short_names(list(ledger.questions))
    rows = [
        [factor.name, names[task], ledger.questions[task], *_cells(effect)]
        for factor in ledger.factors
        for task, effect in factor.tasks.items()
    ]
    header = ["factor", "task", "questions", "effect", "interval", "p (Holm)", "verdict"]
    return folded([("", table(header, rows, "scores"))])
