"""Runs of the study, read back: groups of evaluations, one per seed, and tables that compare them.

A group is a list of evaluations of the same model, in order of their seeds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from results import table
from storm_evaluation.comparison.document_matching import match_documents
from storm_evaluation.comparison.inference import Family, pair
from storm_evaluation.comparison.pairwise_differences import verdict
from storm_evaluation.comparison.several_runs import SeveralRuns
from storm_evaluation.comparison.significance import holm
from storm_evaluation.evaluation import Evaluation
from storm_evaluation.report.over_runs import in_words
from storm_exp.report import CellRecord, RunRecord
from storm_report.run_table import sweep_table

WORK = Path(os.environ.get("STORM_EXP_STUDY", "outputs/study")).absolute()

CONFIDENCE, MARGIN = 0.95, 0.02
"""Of all tables: how sure, and which differences count as none."""
COMMON = [f"tinyworld_{name}" for name in ("following", "lookup", "reasoning", "tools")]
"""The tasks that every recipe is evaluated on."""
LOSS = "tinyworld_loss"

Groups = dict[str, list[Evaluation]]


def record(run: str) -> RunRecord:
    """Return the record of a run of the study."""
    folder = (WORK / f"{run}.txt").read_text(encoding="utf-8").splitlines()[0]
    return RunRecord.read(WORK / folder)


def cells(run: str, *overrides: str) -> list[CellRecord]:
    """Return a run's cells that were asked for with all of `overrides`."""
    return [cell for cell in record(run).cells if set(overrides) <= set(cell.overrides)]


def group(run: str, model: str, *overrides: str) -> list[Evaluation]:
    """Return a model's evaluations in those cells."""
    found = []
    for cell in cells(run, *overrides):
        (stage,) = [s for s in cell.stages if s.stage == "evaluator" and s.element == model]
        found.append(Evaluation(Path(stage.directory)))
    return found


def models(run: str, names: list[str], *overrides: str) -> Groups:
    """Return the groups of several models of a run."""
    return {name: group(run, name, *overrides) for name in names}


def payload(cell: CellRecord, stage: str, name: str) -> Any:
    """Return a JSON file of a stage's payload."""
    (found,) = [s for s in cell.stages if s.stage == stage]
    return found.read(name)


def spread(values: list[float]) -> str:
    """Return mean ± standard deviation over seeds."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return f"{np.mean(values):.3f} ± {deviation:.3f}"


def score_table(groups: Groups) -> str:
    """Return scores per task, their mean, that of the common tasks, and the loss, mean ± sd."""
    summaries = {name: [e.summary() for e in found] for name, found in groups.items()}
    tasks = next(iter(summaries.values()))[0]["tasks"]
    exact = [task for task, entry in tasks.items() if entry["higher_is_better"]]
    beyond = set(exact) > set(COMMON)
    rows = []
    for name, found in summaries.items():
        scores = [spread([s["tasks"][task]["score"] for s in found]) for task in exact]
        means = [spread([s["mean"] for s in found])]
        means += [spread([common_mean(s) for s in found])] if beyond else []
        rows.append([name, *scores, *means, spread([s["tasks"][LOSS]["score"] for s in found])])
    header = ["", *[task.removeprefix("tinyworld_") for task in exact], "mean"]
    return table([*header, *(["mean of the first four"] if beyond else []), "loss"], rows)


def common_mean(summary: dict[str, Any]) -> float:
    """Return the mean over the four families that every recipe is asked."""
    return float(np.mean([summary["tasks"][task]["score"] for task in COMMON]))


def difference_table(groups: Groups, pairs: list[tuple[str, str]]) -> str:
    """Return the declared differences between arms, over runs and questions.

    Arms that `pairs` name are compared; Holm's correction is over the pairs, for scores and for
    losses by themselves.
    """
    names = [name for name in groups if any(name in each for each in pairs)]
    flat = [evaluation for name in names for evaluation in groups[name]]
    tasks, runs = match_documents(flat), len(groups[names[0]])
    estimator = SeveralRuns(tasks, runs=runs, confidence=CONFIDENCE)
    family = Family(len(names) - 1)
    columns = []
    for higher in (True, False):
        chosen = [task for task in tasks if task.higher_is_better == higher]
        contrasts = [pair(names.index(worse), names.index(better)) for better, worse in pairs]
        cells = [estimator.difference(chosen, each, family) for each in contrasts]
        for cell, p in zip(cells, holm([cell["p"] for cell in cells]), strict=True):
            won = (cell["difference"] > 0) == higher
            cell |= {"p_holm": p, "better": int(won) if p < 1 - CONFIDENCE else None}
        columns.append([_difference(cell) for cell in cells])
    rows = [
        [f"{better} − {worse}", *score, *loss]
        for (better, worse), score, loss in zip(pairs, *columns, strict=True)
    ]
    header = ["difference", "95 % interval", "p (Holm)", "verdict"]
    return table(["", *header, "of the loss", *header[1:]], rows)


def _difference(cell: dict[str, Any]) -> list[str]:
    said = in_words(verdict(cell, 1, MARGIN), MARGIN)
    interval = f"[{cell['low']:+.3f}, {cell['high']:+.3f}]"
    p = "< 0.001" if cell["p_holm"] < 0.001 else f"{cell['p_holm']:.3f}"
    return [f"{cell['difference']:+.3f}", interval, p, said]


def documents(groups: Groups) -> int:
    """Return how many questions each model answered; the loss is of answers to the same ones."""
    summary = next(iter(groups.values()))[0].summary()
    return sum(task["n"] for name, task in summary["tasks"].items() if name != LOSS)


def sweep_markdown(run: str) -> str:
    """Return a sweep's table as Markdown."""
    header, rows = sweep_table(record(run))
    return table(header, rows)
