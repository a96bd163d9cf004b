"""Runs of the study, read back: groups of evaluations, one per seed, and tables that compare them.

A group is a list of evaluations of the same model, in order of their seeds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from results import table
from storm_evaluation.alignment import AlignedTask, align
from storm_evaluation.contrast import Contrast
from storm_evaluation.evaluation import Evaluation
from storm_exp.record import CellRecord, RunRecord
from storm_exp.sweep import sweep_table

WORK = Path(os.environ.get("STORM_EXP_STUDY", "outputs/study")).absolute()

Groups = dict[str, list[Evaluation]]


def record(run: str) -> RunRecord:
    """Return the record of a run of the study."""
    folder = (WORK / f"{run}.txt").read_text(encoding="utf-8").strip()
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
    """Return a table of mean scores per task, mean ± sd over seeds."""
    summaries = {name: [e.summary() for e in found] for name, found in groups.items()}
    tasks = list(next(iter(summaries.values()))[0]["tasks"])
    rows = []
    for name, found in summaries.items():
        scores = [spread([s["tasks"][task]["score"] for s in found]) for task in tasks]
        rows.append([name, *scores, spread([s["mean"] for s in found])])
    return table(["", *[task.removeprefix("tinyworld_") for task in tasks], "mean"], rows)


def difference_table(groups: Groups, pairs: list[tuple[str, str]]) -> str:
    """Return paired differences of means with 95 % intervals and Holm-corrected p-values.

    Only the groups that `pairs` name are compared, but every pair of those counts for Holm.
    """
    names = [name for name in groups if any(name in pair for pair in pairs)]
    found = _contrast([groups[name] for name in names])
    rows = []
    for better, worse in pairs:
        a, b = names.index(worse), names.index(better)
        entry = next(p for p in found["pairs"] if {p["first"], p["second"]} == {a, b})
        sign = 1 if (entry["first"], entry["second"]) == (a, b) else -1
        mean = entry["mean"]
        low, high = sorted((sign * mean["low"], sign * mean["high"]))
        interval = f"[{low:+.3f}, {high:+.3f}]"
        difference = f"{sign * mean['difference']:+.3f}"
        rows.append([f"{better} − {worse}", difference, interval, f"{mean['p_holm']:.2g}"])
    return table(["", "difference", "95 % interval", "p (Holm)"], rows)


def documents(groups: Groups) -> int:
    """Return how many questions each model answered."""
    summary = next(iter(groups.values()))[0].summary()
    return sum(task["n"] for task in summary["tasks"].values())


def minutes(run: str) -> str:
    """Return how long a cell's stages took without the world's base model, as a sentence."""
    taken = [
        sum(s.seconds or 0.0 for s in cell.stages if s.component != "tinyworld")
        for cell in cells(run)
    ]
    return f"`{run}` takes {max(taken) / 60:.1f} minutes after its base model, on one thread."


def sweep_markdown(run: str) -> str:
    """Return a sweep's table as Markdown."""
    header, rows = sweep_table(record(run))
    return table(header, rows)


def _contrast(groups: list[list[Evaluation]]) -> dict[str, Any]:
    """Compare groups: documents paired, scores averaged over seeds."""
    flat = [evaluation for found in groups for evaluation in found]
    averaged = []
    for task in align(flat):
        scores, start = [], 0
        for found in groups:
            scores.append(task.scores_MN[start : start + len(found)].mean(axis=0))
            start += len(found)
        weights_MN = task.weights_MN[: len(groups)]
        averaged.append(
            AlignedTask(task.name, task.metric, task.higher_is_better, np.stack(scores), weights_MN)
        )
    return Contrast(averaged, confidence=0.95, resamples=10_000, seed=0).describe()
