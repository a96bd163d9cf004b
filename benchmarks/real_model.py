"""Storm's whole recipe on SmolLM2: what it took, and what came of it.

    storm-exp env create smollm2
    python benchmarks/real_model.py              run recipe=storm_smollm2, and write the section
    python benchmarks/real_model.py runtime.threads=1    with these settings
    python benchmarks/real_model.py outputs/latest/run.json    write it from the record of a run

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
ASKED = ("base_model", "finetuner", "partner", "merger", "compressor", "gguf")
"""Models that are asked in words: by transformers, and the first GGUF file by llama.cpp."""
QUESTION = "What is the capital of France?"
DRAWN = ("--temperature", "0", "--max-tokens", "24")


def run(*words: str, cwd: Path, capture: bool = False) -> str:
    """Run a command line in a folder; with `capture`, return what it prints."""
    root = Path(__file__).parents[1]
    paths = os.pathsep.join([str(root), str(root / "plugins"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-m", "storm_exp", *words]
    output = subprocess.PIPE if capture else None
    done = subprocess.run(command, cwd=cwd, env=environment, check=True, stdout=output, text=True)
    return done.stdout or ""


def run_recipe(settings: list[str]) -> Path:
    """Run the recipe, or what of it the store lacks; returns the record."""
    WORK.mkdir(parents=True, exist_ok=True)
    run(RECIPE, *settings, cwd=WORK)
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


def answer_rows(record: Path) -> list[list[str]]:
    """Ask the models of a run a question, in words; returns a row for each."""
    from storm_inference.targets.target import is_model

    rows = []
    for model in ASKED:
        if is_model(record.parent / model):
            words = ["chat", str(record.parent / model), "--say", QUESTION, *DRAWN]
            answer = run(*words, cwd=record.parent, capture=True)
            rows.append([model, " ".join(answer.split())])
    return rows


def file_rows(stages: list[dict[str, Any]]) -> list[list[str]]:
    """Return name and size of every GGUF file that was written."""
    folders = [Path(stage["directory"]) for stage in stages if stage["stage"] == "gguf"]
    files = sorted(file for folder in folders for file in folder.glob("*.gguf"))
    return [[file.name, f"{file.stat().st_size / 1e6:.0f} MB"] for file in files]


def main() -> None:
    """Write the section."""
    words = sys.argv[1:]
    file = Path(words[0]).absolute() if words and words[0].endswith(".json") else run_recipe(words)
    record = json.loads(file.read_text(encoding="utf-8"))
    every = record["cells"][0]["stages"]
    stages = [stage for stage in every if stage["status"] in ("made", "kept") and stage["seconds"]]
    load = os.getloadavg()[0]
    scores = score_rows(stages)
    measured = table(["model", "right calls", "held-out loss"], scores) if scores else ""
    files, answers = file_rows(every), answer_rows(file)
    body = f"""
SmolLM2-135M-Instruct (134,515,008 parameters, 49,152 tokens), chats of the miniature world, fp32;
{len(stages)} of {len(every)} stages made. Load average when this was written: {load:.1f}; where
that is more than there are cores, times are upper bounds. What was kept from an earlier run has the
seconds of that run.

{table(["stage", "component", "made in", "peak RSS", ""], stage_rows(stages))}

{measured}

{table(["GGUF", "size"], files) if files else ""}

{table(["", QUESTION], answers) if answers else ""}
"""
    write_section(
        "Storm on a real model",
        shlex.join(["python", "-m", "storm_exp", *record["argv"][1:]]),
        body,
    )


if __name__ == "__main__":
    main()
