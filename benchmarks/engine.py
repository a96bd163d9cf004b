"""The engine's own cost: a warm run against `import hydra`, a sweep against its stages.

python benchmarks/engine.py warm     a second `recipe=storm` (makes the first one if need be)
python benchmarks/engine.py own      the same for `storm_own` on a model of 1 GB
python benchmarks/engine.py sweep    nine cells over a store that holds one run
python benchmarks/engine.py plan     1,000 cells planned on one core, by one setting and by three
python benchmarks/engine.py          all of them
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from results import table, write_section
from storm_data.testing import make_chats
from storm_models.testing import make_model

WORK = Path(os.environ.get("STORM_EXP_BENCH", "outputs/bench")).absolute()
STORM = [sys.executable, "-m", "storm_exp"]
ROUNDS = 7


def run(arguments: list[str], **environment: str) -> tuple[float, str]:
    """Run a command in the work folder; return wall seconds and what it printed."""
    WORK.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    done = subprocess.run(
        arguments,
        cwd=WORK,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stdout[-3000:]}")
    return seconds, done.stdout


def record() -> dict[str, Any]:
    """Return the record of the latest run."""
    file = WORK / "outputs" / "latest" / "run.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def stages(run_record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the artifacts of all cells, each once."""
    return list({s["key"]: s for cell in run_record["cells"] for s in cell["stages"]}.values())


def interleaved(command: list[str]) -> tuple[float, float]:
    """Return median seconds of `import hydra` and of a command, in turn after a warm-up each."""
    hydra = [sys.executable, "-c", "import hydra"]
    seconds: dict[str, list[float]] = {"hydra": [], "storm": []}
    for number in range(ROUNDS + 1):
        for name, arguments in (("hydra", hydra), ("storm", command)):
            taken, _ = run(arguments)
            if number:
                seconds[name].append(taken)
    return statistics.median(seconds["hydra"]), statistics.median(seconds["storm"])


def warm(title: str, name: str, arguments: list[str]) -> None:
    """Measure a run that makes nothing."""
    command = [*STORM, *arguments]
    cold, _ = run(command)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    made_cold = [stage for stage in stages(record()) if stage["status"] == "made"]
    _, text = run([sys.executable, "-X", "importtime", "-m", "storm_exp", *arguments])
    imports_torch = any(line.rstrip().endswith("| torch") for line in text.splitlines())
    made = [stage for stage in stages(record()) if stage["status"] == "made"]
    hydra, storm = interleaved(command)
    rows = [
        ["first run in this folder", f"{cold:.1f} s, {len(made_cold)} artifacts made"],
        ["its peak memory, largest process", f"{peak:.2f} GiB"],
        ["`import hydra`, median", f"{hydra:.3f} s"],
        ["second run, median", f"{storm:.3f} s"],
        ["bar: 3 × `import hydra` + 1 s", f"{3 * hydra + 1:.3f} s"],
        ["artifacts made by the second run", str(len(made))],
        ["imports torch", "yes" if imports_torch else "no"],
    ]
    write_section(title, f"python benchmarks/engine.py {name}", table(["", ""], rows))


def sweep() -> None:
    """Measure nine cells over a store that holds one run."""
    run([*STORM, "recipe=storm"])
    settings = ["curator.min_education=2,3,4", "merger.t=0.25,0.5,0.75"]
    seconds, _ = run([*STORM, "-m", "recipe=storm", *settings])
    done = record()
    made = [stage for stage in stages(done) if stage["status"] == "made"]
    counts: dict[str, int] = {}
    for stage in made:
        counts[stage["stage"]] = counts.get(stage["stage"], 0) + 1
    total = sum(stage["seconds"] for stage in made)
    rows = [
        ["made", ", ".join(f"{count} {name}" for name, count in counts.items())],
        ["wall", f"{seconds:.1f} s"],
        ["sum of the stages made", f"{total:.1f} s"],
        ["bar: 1.15 × sum + 1 s a cell", f"{1.15 * total + len(done['cells']):.1f} s"],
    ]
    title = "A sweep costs its stages"
    write_section(title, "python benchmarks/engine.py sweep", table(["", ""], rows))


SWEEPS = {
    "1,000 values of `merger.t`": ["merger.t=range(0,1,0.001)"],
    "10 × 10 × 10 of `curator.min_education`, `seed`, `merger.t`": [
        "curator.min_education=range(1,5,0.4)",
        "seed=range(10)",
        "merger.t=range(0,1,0.1)",
    ],
}
"""A thousand cells, of which one stage differs, or nearly all."""


def plan() -> None:
    """Measure the planning of 1,000 cells on one core, over an empty store."""
    rows = []
    for name, settings in SWEEPS.items():
        arguments = ["plan", "-m", "recipe=storm", *settings, "store.path=nothing"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds, text = run(["taskset", "--cpu-list", _one_core(), *STORM, *arguments])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        cells = re.findall(r"(\d+) cells", text)[:1]
        artifacts = text.split("\n\n")[0].count("\n") - 1
        rows.append([name, *cells, str(artifacts), f"{seconds:.1f} s", f"{busy:.1f} s", "60 s"])
    header = ["sweep", "cells", "artifacts", "wall", "processor", "bar"]
    title = "A thousand cells are planned in a minute"
    write_section(title, "python benchmarks/engine.py plan", table(header, rows))


def _one_core() -> str:
    return str(min(os.sched_getaffinity(0)))


def own() -> None:
    """Measure a warm run of `storm_own` on a model of 1 GB."""
    model, chats = WORK / "model_1gb", WORK / "chats.jsonl"
    if not model.is_dir():
        make_model(model, hidden=1024, layers=24, intermediate=6144)
    make_chats(chats, rows=24)
    # Only the second run is measured: the first does as little as it can.
    small = ["judge.dtype=float32", "evaluator.dtype=float32"]
    small += ["evaluator.limit=2", "dataset.validation_rows=2"]
    for stage in ("finetuner", "partner"):
        small += [f"{stage}.steps=1", f"{stage}.batch_size=1", f"{stage}.sequence_length=128"]
    places = [f"base_model.path={model}", f"dataset.path={chats}"]
    curation = ["curator.min_education=1", "curator.difficulties=[easy,medium,hard]"]
    arguments = ["recipe=storm_own", *places, *small, *curation]
    warm("A second run of storm_own on 1 GB makes nothing", "own", arguments)
    shutil.rmtree(model)


def main(names: list[str]) -> None:
    """Run the benchmarks that are named, or all."""
    chosen = names or ["warm", "sweep", "plan", "own"]
    if "warm" in chosen:
        warm("A second run makes nothing", "warm", ["recipe=storm"])
    if "sweep" in chosen:
        sweep()
    if "plan" in chosen:
        plan()
    if "own" in chosen:
        own()


if __name__ == "__main__":
    main(sys.argv[1:])
