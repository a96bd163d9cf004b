"""The report's section on arms of a sweep that were run with several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from storm_evaluation.ablation.measured_arms import is_ablation
from storm_evaluation.comparison.comparison import NO_EFFECT, by_holm, shown_interval
from storm_evaluation.comparison.paired import Paired
from storm_evaluation.evaluation import Evaluation
from storm_exp import InputError
from storm_exp.report import Place, RunRecord, Section, StageRecord
from storm_report.interim import is_interim
from storm_report.markup import figure, table
from storm_report.run_table import is_seed
from storm_report.score_interval import shown_score

_CORRECTED = "p-values and verdicts are corrected for all arms, each interval holds by itself."
Arms = dict[str, list[StageRecord]]
"""Evaluations by name of the arm, in the order of their seeds."""


def sections(run: RunRecord) -> list[Section]:
    """Return the comparison of a sweep's arms over seeds, or over questions alone.

    With a single seed only models are compared that were given to the run, not trained in it.
    """
    if run.rehearsal or is_ablation(run):  # which has a ledger
        return []
    parts = [_part(title, arms) for title, arms in comparisons(run).items()]
    parts += [_uneven(title, arms) for title, arms in _arms(run).items() if not _even(arms)]
    if not parts:
        return []
    several = any(len(by_seeds) > 1 for arms in _arms(run).values() for by_seeds in arms.values())
    title = "Over runs and questions" if several else "Over questions"
    return [Section(title, Markup().join(parts), place=Place.LEAD)]


def comparisons(run: RunRecord) -> dict[str, Arms]:
    """Return the arms that can be compared, by title.

    In a sweep over settings, the arms are the settings, one comparison per model; otherwise the
    models. All arms have the same seeds, in the same order.
    """
    by_title: dict[str, Arms] = {}
    for title, arms in _arms(run).items():
        if _even(arms):
            seeds = list(next(iter(arms.values())))
            by_title[title] = {
                arm: [by_seeds[seed] for seed in seeds] for arm, by_seeds in arms.items()
            }
    given = {stage.key for cell in run.cells for stage in cell.stages if not stage.inputs}
    return {title: arms for title, arms in by_title.items() if _comparable(arms, given)}


_BySeeds = dict[tuple[str, ...], StageRecord]
"""Evaluations of an arm by the values of its seed settings."""


def _arms(run: RunRecord) -> dict[str, dict[str, _BySeeds]]:
    """Return the evaluations by title of the comparison, by arm and by seeds."""
    by_title: dict[str, dict[str, _BySeeds]] = {}
    found = [stage for cell in run.cells for stage in cell.of_type("Evaluation")]
    several = len({stage.stage for stage in found if not is_interim(stage)}) > 1
    for settings, cell in zip(run.cell_settings(), run.cells, strict=True):
        setting = " · ".join(f"{name}={v}" for name, v in settings.items() if not is_seed(name))
        seeds = tuple(value for name, value in settings.items() if is_seed(name))
        for stage in cell.stages:
            if stage.artifact != "Evaluation" or not stage.directory or is_interim(stage):
                continue
            models = f"models by {stage.stage}" if several else "models"
            title, arm = (stage.label, setting) if setting else (models, stage.label)
            by_title.setdefault(title, {}).setdefault(arm, {})[seeds] = stage
    return by_title


def _even(arms: dict[str, _BySeeds]) -> bool:
    """Return whether all arms have the same seeds, which are the blocks of the test."""
    return len({frozenset(own) for own in arms.values()}) == 1


def _comparable(arms: Arms, given: set[str]) -> bool:
    """Return whether there are several different arms: of several runs each, or of given models."""
    runs = {len(stages) for stages in arms.values()}
    keys = {tuple(stage.key for stage in stages) for stages in arms.values()}
    models = {str(stage.inputs.get("model")) for stages in arms.values() for stage in stages}
    return len(keys) > 1 and (min(runs) > 1 or models <= given)


def _uneven(title: str, arms: dict[str, _BySeeds]) -> Markup:
    listed = "; ".join(
        f"{arm}: {', '.join(' and '.join(seeds) for seeds in seeds_of_arm)}"
        for arm, seeds_of_arm in arms.items()
    )
    return Markup(
        "<p>{}: not compared. Seeds are the blocks of the test, and the arms have different seeds "
        "({}).</p>"
    ).format(title, listed)


def _part(title: str, arms: Arms) -> Markup:
    from storm_evaluation.comparison.document_matching import match_documents

    evaluations = [Evaluation(Path(s.directory)) for stages in arms.values() for s in stages]
    runs = len(next(iter(arms.values())))
    paired = Paired(runs=runs)
    try:
        content = paired.compare(match_documents(evaluations), every_pair=False)
    except (InputError, OSError, ValueError) as error:
        return Markup("<p>{}: not compared. {}</p>").format(title, str(error))
    return figure(arm_table(list(arms), content, paired), explain(title, content, paired))


def arm_table(names: list[str], content: dict[str, Any], paired: Paired) -> Markup:
    """Return a table with a row per arm: its means over runs, and its differences to the first."""
    measures = [name for name in ("mean", "loss") if content[name]]
    header = ["arm"]
    for measure in measures:
        header += [measure, "difference to the first", f"{paired.confidence:.0%} interval"]
        header += ["p (Holm)", "verdict"]
    against = {entry["second"]: entry for entry in content["against_first"]}
    rows: list[list[Any]] = []
    for number, name in enumerate(names):
        row: list[Any] = [name]
        for measure in measures:
            entry = content[measure][number]
            row.append(shown_score(entry["score"], entry["stderr"]))
            cell = against[number][measure] if number in against else None
            row += difference_cells(cell, paired.margin) if cell else [""] * 4
        rows.append(row)
    return table(header, rows, "scores")


def difference_cells(cell: dict[str, Any], margin: float) -> list[Any]:
    """Return the table cells of a difference: value, interval, p-value and verdict."""
    verdict = cell["verdict"]
    class_ = verdict if verdict in ("better", "worse") else ""
    shown = Markup('<span class="{}">{:+.3f}</span>').format(class_, cell["difference"])
    p = "< 0.001" if cell["p_holm"] < 0.001 else f"{cell['p_holm']:.3f}"
    low, high = cell["low"], cell["high"]
    interval = shown_interval(low, high, f"{low:+.3f} to {high:+.3f}")
    by = by_holm(verdict, low, high)
    return [shown, interval, p, in_words(verdict, margin) + by]


def in_words(verdict: str, margin: float) -> str:
    """Return a verdict in the report's words."""
    if verdict == NO_EFFECT:
        return f"no effect shown, less than {margin:g} either way"
    return verdict


def explain(title: str, content: dict[str, Any], paired: Paired) -> str:
    """Return the caption of a table over runs, or over questions alone."""
    runs = content["runs"]
    if runs == 1:
        return (
            f"{title}: paired over questions. {_CORRECTED} The models were given, and it is for "
            "them that the differences hold, however they were made."
        )
    text = (
        f"{title}: {runs} runs of each arm, with standard errors and intervals over runs and "
        f"questions. They hold for the arms, not only for these trained models. {_CORRECTED}"
    )
    return text if runs > 2 else text + " Two runs give wide intervals: add seeds."
