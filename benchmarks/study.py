"""What the miniature world answers, over three seeds: writes docs/recipes/ and its pictures.

    python benchmarks/study.py                 run what is missing, then write
    python benchmarks/study.py --only-write    write from the runs that are there

Three seeds of the whole recipe, each with a base model of its own, then the sweeps. The figures
are whatever was measured.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from results import setting, table
from storm_evaluation.alignment import AlignedTask, align
from storm_evaluation.contrast import Contrast
from storm_evaluation.evaluation import Evaluation
from storm_exp.record import CellRecord, RunRecord
from storm_tinyworld.corruption import UNSEEN_FAMILIES

ROOT = Path(__file__).parents[1]
WORK = Path(os.environ.get("STORM_EXP_STUDY", "outputs/study")).absolute()
PAGE = ROOT / "docs/recipes/storm.md"
SEEDS = "seed=0,1,2"
OWN_BASE = "base_model.seed=${seed}"
MODELS = ["base_model", "finetuner", "partner", "merger", "compressor"]

RUNS: dict[str, list[str]] = {
    "seeds": ["-m", "recipe=storm", SEEDS, OWN_BASE],
    "curation_control": ["sweep=curation_control", OWN_BASE],
    "merge_weight": ["sweep=merge_weight"],
    "curation_threshold": ["sweep=curation_threshold"],
}
"""Name and arguments of every run of the study; they share one store."""

ARMS = {
    "tinyworld": "curated",
    "whole_pool": "whole pool",
    "tinyworld_random": "random subset",
    "tinyworld_oracle": "oracle",
}
"""What the arms of the curation control are called, by curator."""


def run(name: str) -> None:
    """Run one part of the study; remember which run it was."""
    WORK.mkdir(parents=True, exist_ok=True)
    print(f"== {name}: storm-exp {' '.join(RUNS[name])}", flush=True)
    subprocess.run([sys.executable, "-m", "storm_exp", *RUNS[name]], cwd=WORK, check=True)
    latest = (WORK / "outputs/latest").resolve()
    (WORK / f"{name}.txt").write_text(latest.name, encoding="utf-8")


def record(name: str) -> RunRecord:
    """Return the record of a part of the study."""
    folder = (WORK / f"{name}.txt").read_text(encoding="utf-8")
    return RunRecord.read(WORK / "outputs/runs" / folder)


def evaluation(cell: CellRecord, model: str) -> Evaluation:
    """Return a model's evaluation in a cell."""
    (stage,) = [s for s in cell.stages if s.stage == "evaluator" and s.element == model]
    return Evaluation(Path(stage.directory))


def payload(cell: CellRecord, stage: str, name: str) -> Any:
    """Return a JSON file of a stage's payload."""
    (found,) = [s for s in cell.stages if s.stage == stage]
    return found.read(name)


def contrast(groups: list[list[Evaluation]]) -> dict[str, Any]:
    """Compare groups of evaluations, one per seed: documents paired, scores averaged over seeds."""
    flat = [evaluation for group in groups for evaluation in group]
    averaged = []
    for task in align(flat):
        scores, start = [], 0
        for group in groups:
            scores.append(task.scores_MN[start : start + len(group)].mean(axis=0))
            start += len(group)
        averaged.append(
            AlignedTask(
                task.name,
                task.metric,
                task.higher_is_better,
                np.stack(scores),
                task.weights_MN[: len(groups)],
            )
        )
    return Contrast(averaged, confidence=0.95, resamples=10_000, seed=0).describe()


def spread(values: list[float]) -> str:
    """Return mean ± standard deviation over seeds."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return f"{np.mean(values):.3f} ± {deviation:.3f}"


def score_table(names: list[str], groups: list[list[Evaluation]]) -> str:
    """Return a table of mean scores per task, mean ± sd over seeds."""
    tasks = list(groups[0][0].summary()["tasks"])
    rows = []
    for name, group in zip(names, groups, strict=True):
        summaries = [e.summary() for e in group]
        cells = [spread([s["tasks"][task]["score"] for s in summaries]) for task in tasks]
        rows.append([name, *cells, spread([s["mean"] for s in summaries])])
    return table(["", *[task.removeprefix("tinyworld_") for task in tasks], "mean"], rows)


def difference_table(names: list[str], found: dict[str, Any], pairs: list[tuple[str, str]]) -> str:
    """Return paired differences of means with 95 % intervals and Holm-corrected p-values."""
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


def judge_table(cells: list[CellRecord]) -> str:
    """Return the judge's AUC per corruption family over seeds, the unseen family marked."""
    truths = [payload(cell, "judge", "summary.json")["truth"] for cell in cells]
    seen = [
        [f["auc"] for name, f in t["families"].items() if name not in UNSEEN_FAMILIES]
        for t in truths
    ]
    rows = [
        ["**worth 3 or more against less**", spread([t["auc"] for t in truths]), ""],
        ["**mean over the seen families**", spread([float(np.mean(each)) for each in seen]), ""],
    ]
    for family in truths[0]["families"]:
        values = [t["families"][family]["auc"] for t in truths if family in t["families"]]
        count = sum(t["families"][family]["rows"] for t in truths if family in t["families"])
        unseen = " (never in rating text)" if family in UNSEEN_FAMILIES else ""
        rows.append([family + unseen, spread(values), str(count)])
    accuracy = spread([t["difficulty"]["accuracy"] for t in truths])
    return table(["family", "AUC", "rows"], rows) + f"\n\nDifficulty named rightly: {accuracy}."


def sweep_markdown(found: RunRecord) -> str:
    """Return a sweep's table as Markdown."""
    from storm_exp.sweep import sweep_table

    header, rows = sweep_table(found)
    return table(header, rows)


def arms(found: RunRecord) -> dict[str, list[CellRecord]]:
    """Return the cells of the curation control by curator, in order of their seeds."""
    grouped: dict[str, list[CellRecord]] = {}
    for cell in found.cells:
        name = next(o.partition("=")[2] for o in cell.overrides if o.startswith("curator="))
        grouped.setdefault(ARMS[name], []).append(cell)
    return grouped


def write() -> None:
    """Write the measured part of docs/recipes/storm.md and copy the sweeps' tables."""
    seeds, control = record("seeds"), record("curation_control")
    groups = [[evaluation(cell, model) for cell in seeds.cells] for model in MODELS]
    found = contrast(groups)
    pairs = [
        ("finetuner", "base_model"),
        ("partner", "base_model"),
        ("merger", "finetuner"),
        ("merger", "partner"),
        ("merger", "base_model"),
        ("compressor", "merger"),
    ]
    by_arm = arms(control)
    names = list(by_arm)
    arm_groups = [[evaluation(cell, "finetuner") for cell in by_arm[name]] for name in names]
    arm_found = contrast(arm_groups)
    others = [(names[0], name) for name in names[1:]]
    documents = sum(task["n"] for task in found["tasks"].values())
    parts = [
        f"`make study`; {setting()}",
        f"Three seeds, each with a base model of its own; {documents} documents of four tasks, "
        "scored by exact match. Spreads are standard deviations over seeds; intervals are paired "
        "bootstraps over documents (scores averaged over seeds first).",
        "### How well the base model judges",
        "Area under the ROC curve of the expected educational value, a family's rows against those "
        "that nothing corrupted. The curators use the most probable label.",
        judge_table(seeds.cells),
        "### Every model",
        score_table(MODELS, groups),
        difference_table(MODELS, found, pairs),
        "### Curated, against the whole pool, a random subset, and an oracle",
        "The same number of steps in every arm; the table is of the fine-tuned model.",
        score_table(names, arm_groups),
        difference_table(names, arm_found, others),
        "### How much of the partner: `sweep=merge_weight`",
        sweep_markdown(record("merge_weight")),
        "### From which educational value on: `sweep=curation_threshold`",
        sweep_markdown(record("curation_threshold")),
    ]
    text = PAGE.read_text(encoding="utf-8")
    measured = "<!-- measured -->\n## What was measured\n\n" + "\n\n".join(parts) + "\n"
    text = re.sub(r"<!-- measured -->.*", lambda _: measured, text, flags=re.S)
    PAGE.write_text(text, encoding="utf-8")
    for name in RUNS:
        copy = ROOT / "benchmarks/study" / f"{name}.csv"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes((record(name).directory / "sweep.csv").read_bytes())
    print(measured)


if __name__ == "__main__":
    if "--only-write" not in sys.argv:
        for part in RUNS:
            run(part)
    write()
