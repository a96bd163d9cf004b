"""Storm's whole recipe on SmolLM2: what it took, and what came of it.

    storm-exp env create smollm2
    python benchmarks/real_model.py            run recipe=storm_smollm2, and write the section
    python benchmarks/real_model.py RUN.json   write it from the record of a run

The figures of a stage are its manifest's: seconds and peak memory of the process that made it.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from results import table, write_section

WORK = Path(os.environ.get("STORM_EXP_BENCH", "outputs/bench")).absolute() / "real_model"
RECIPE = "recipe=storm_smollm2"
SCORES = {"evaluator": "mean_score", "held_out": "loss"}
"""Stages that measure models, and the figure that is shown of each."""


def run_recipe() -> Path:
    """Run the recipe, or what of it the store lacks; returns the record."""
    WORK.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).parents[1]
    paths = os.pathsep.join([str(root), str(root / "plugins"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-m", "storm_exp", RECIPE]
    subprocess.run(command, cwd=WORK, env=environment, check=True)
    return WORK / "outputs/latest/run.json"


def stage_rows(stages: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row for every stage that was made: what it took, and its main figure."""
    rows = []
    for stage in stages:
        name = stage["stage"] + (f" of {stage['element']}" if stage["element"] else "")
        main = stage["main_metric"]
        figure = f"{main} {stage['metrics'][main]:.4g}" if main else ""
        memory = f"{stage['peak_memory'] / 2**30:.2f} GiB" if stage["peak_memory"] else ""
        rows.append([name, stage["component"], f"{stage['seconds']:.0f} s", memory, figure])
    return rows


def score_rows(stages: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row for every model that was measured, with its figures and their errors."""
    found: dict[str, dict[str, str]] = {}
    for stage in stages:
        figure = SCORES.get(stage["stage"])
        if figure in stage["metrics"]:
            error = stage["metrics"].get(f"{figure}_stderr")
            shown = f"{stage['metrics'][figure]:.3f}" + (f" ± {error:.3f}" if error else "")
            found.setdefault(stage["element"], {})[stage["stage"]] = shown
    return [[name, *(own.get(stage, "") for stage in SCORES)] for name, own in found.items()]


def main() -> None:
    """Write the section."""
    file = Path(sys.argv[1]) if sys.argv[1:] else run_recipe()
    record = json.loads(file.read_text(encoding="utf-8"))
    every = record["cells"][0]["stages"]
    stages = [stage for stage in every if stage["status"] in ("made", "kept") and stage["seconds"]]
    load = os.getloadavg()[0]
    scores = score_rows(stages)
    measured = table(["model", "right calls", "held-out loss"], scores) if scores else ""
    body = f"""
SmolLM2-135M-Instruct (134,515,008 parameters, 49,152 tokens), chats of the miniature world, fp32;
{len(stages)} of {len(every)} stages made. Load average when this was written: {load:.1f}; where
that is more than there are cores, times are upper bounds.

{table(["stage", "component", "made in", "peak RSS", ""], stage_rows(stages))}

{measured}
"""
    write_section(
        "Storm on a real model",
        shlex.join(["python", "-m", "storm_exp", *record["argv"][1:]]),
        body,
    )


if __name__ == "__main__":
    main()
