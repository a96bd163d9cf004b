"""What the miniature world answers, over three seeds: writes docs/recipes/ and benchmarks/study.

    python benchmarks/study.py                    run what is missing, then write
    python benchmarks/study.py solar minitron     those pages only
    python benchmarks/study.py --only-write       write from the runs that are there

Every seed has a base model of its own, but in the sweeps merge_weight and curation_threshold, where
all share one. The figures are whatever was measured. A run takes one
thread, and as many run side by side as the machine has cores: its figures do not depend on how many
those are.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from results import setting
from study_pages import PAGES
from study_tables import WORK, record

ROOT = Path(__file__).parents[1]
SEEDS = "seed=0,1,2"
OWN_BASE = "base_model.seed=${seed}"
EVALUATED = "targets=[evaluator]"
STRANGER = [
    "+base_model@stranger=tinyworld_same_size",
    "+graph.stranger={tokenizer: corrector}",
    "graph.distiller.teacher=stranger",
]
"""A teacher of random weights, in the shape of the true one."""
UNCORRECTED = [
    "graph.scanner.model=base_model",
    "graph.pruner.model=base_model",
    "graph.distiller.teacher=base_model",
]


def over_seeds(recipe: str, *overrides: str) -> list[str]:
    """Return the arguments of a recipe's run over three seeds."""
    return ["-m", f"recipe={recipe}", SEEDS, OWN_BASE, *overrides]


def distilled(axis: str, *overrides: str) -> list[str]:
    """Return the arguments of a control of Minitron's, of which one model counts."""
    recipe = f"minitron_{axis}"
    return over_seeds(recipe, EVALUATED, "graph.evaluator.model=[distiller]", *overrides)


RUNS: dict[str, dict[str, list[str]]] = {
    "storm": {
        "storm": over_seeds("storm"),
        "curation_control": ["sweep=curation_control", OWN_BASE],
        "spectrum_fraction": ["sweep=spectrum_fraction", OWN_BASE],
        "merge_weight": ["sweep=merge_weight"],
        "curation_threshold": ["sweep=curation_threshold"],
    },
    "solar": {
        "solar": over_seeds("solar"),
        "solar_control": over_seeds(
            "solar",
            EVALUATED,
            "graph.pretrainer.model=base_model",
            "graph.evaluator.model=[pretrainer]",
        ),
        "solar_llama_pro": over_seeds(
            "solar",
            EVALUATED,
            "merger@upscaler=llama_pro",
            "upscaler.every=2",
            "pretrainer.parameters.choice=new_layers",
            "graph.evaluator.model=[upscaler,pretrainer]",
        ),
        "solar_m": ["sweep=solar_m", OWN_BASE],
    },
    "minitron": {
        "minitron_width": over_seeds("minitron_width"),
        "minitron_depth": over_seeds("minitron_depth"),
        "minitron_width_shuffled": distilled("width", "distiller.control=positions"),
        "minitron_depth_shuffled": distilled("depth", "distiller.control=positions"),
        "minitron_width_stranger": distilled("width", *STRANGER),
        "minitron_width_uncorrected": distilled("width", *UNCORRECTED),
        "minitron_depth_uncorrected": distilled("depth", *UNCORRECTED),
        "minitron_iterative": over_seeds("minitron_iterative"),
        "pruning_ratio": ["sweep=pruning_ratio", OWN_BASE],
    },
    "tinyllama": {"tinyllama": ["-m", "recipe=tinyllama", SEEDS]},
    "birbal": {
        "birbal": over_seeds("birbal"),
        "budget_control": ["sweep=budget_control", OWN_BASE],
    },
}
"""Name and arguments of every run, by page; they share one store."""


def run(name: str, arguments: list[str]) -> None:
    """Run one part of the study, and remember which run it was; a part that ran is left alone."""
    marker, log = WORK / f"{name}.txt", WORK / f"{name}.log"
    if marker.exists():
        return
    started = time.monotonic()
    print(f"{name}: storm-exp {' '.join(arguments)}", flush=True)
    with log.open("w", encoding="utf-8") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "storm_exp", *arguments, "runtime.threads=1"],
            cwd=WORK,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        )
    text = log.read_text(encoding="utf-8")
    folder = re.search(r"^run +(\S+)$", text, re.M)
    if done.returncode != 0 or folder is None:
        sys.exit(f"{name} failed; {log} says why:\n{text[-2000:]}")
    marker.write_text(folder[1], encoding="utf-8")
    print(f"{name}: done in {time.monotonic() - started:.0f} s", flush=True)


def write(page: str) -> None:
    """Write the measured part of a page and copy its runs' tables."""
    file = ROOT / f"docs/recipes/{page}.md"
    parts = "\n\n".join([f"`make study`; {setting()}", *PAGES[page]()])
    text = file.read_text(encoding="utf-8").partition("<!-- measured -->")[0].rstrip()
    text += f"\n\n<!-- measured -->\n## What was measured\n\n{parts}\n"
    file.write_text(text, encoding="utf-8")
    for name in RUNS[page]:
        copy = ROOT / "benchmarks/study" / f"{name}.csv"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes((record(name).directory / "sweep.csv").read_bytes())
    print(f"wrote {file.relative_to(ROOT)}")


def main() -> None:
    """Run and write the pages that are named, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("pages", nargs="*", metavar="|".join(RUNS))
    parser.add_argument("--only-write", action="store_true")
    asked = parser.parse_args()
    pages = asked.pages or list(RUNS)
    if unknown := set(pages) - set(RUNS):
        parser.error(f"no page {', '.join(sorted(unknown))}; there are {', '.join(RUNS)}")
    if not asked.only_write:
        WORK.mkdir(parents=True, exist_ok=True)
        parts = [part for page in pages for part in RUNS[page].items()]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for _ in pool.map(lambda part: run(*part), parts):
                pass
    for page in pages:
        write(page)


if __name__ == "__main__":
    main()
