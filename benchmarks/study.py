"""What the miniature world answers, over seeds: writes docs/recipes/ and benchmarks/study.

    python benchmarks/study.py                    run what is missing, then write
    python benchmarks/study.py solar minitron     those pages only
    python benchmarks/study.py --seeds 5          over five seeds; the first three are kept
    python benchmarks/study.py --only-write       write from the runs that are there

Every seed has a base model of its own, but in the sweeps merge_weight and curation_threshold, where
all share one. Figures are what was measured, tests those that docs/statistics.md declares. All runs
share one store: to be killed costs the stages that were being made, and to start again goes on. A
run that fails is named at once and at the end, and the others go on. A run takes one thread, and as
many run side by side as the machine has cores: figures do not depend on how many those are.
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
from study_headline import headline
from study_pages import PAGES
from study_tables import WORK, record

ROOT = Path(__file__).parents[1]
LEAST_SEEDS = 3
OUTDATED = "to be measured again"
"""What a page says whose runs have changed since it was written."""
OWN_BASE = "base_model.seed=${seed}"
EVALUATED = "targets=[evaluator]"
STRANGER = [
    "+base_model@stranger=tinyworld/same_size",
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
    """Return the arguments of a recipe's run over seeds, which `run` adds."""
    return ["-m", f"recipe={recipe}", OWN_BASE, *overrides]


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
            "pretrainer.trainable.method=new_layers",
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
    "tinyllama": {"tinyllama": ["-m", "recipe=tinyllama"]},
    "birbal": {
        "birbal": over_seeds("birbal"),
        "budget_control": ["sweep=budget_control", OWN_BASE],
        "birbal_random": over_seeds(
            "birbal",
            EVALUATED,
            "curator=keep_all",
            "curator.train_rows=1200",
            "curator.validation=0.05",
            "graph.evaluator.model=[finetuner]",
        ),
    },
}
"""Name and arguments of every run, by page; they share one store."""


def run(name: str, arguments: list[str], seeds: int) -> str:
    """Run one part of the study, and remember which run it was; a part that ran is left alone.

    Returns why it failed, or nothing.
    """
    marker, log = WORK / f"{name}.txt", WORK / f"{name}.log"
    command = [*arguments, f"seed={','.join(map(str, range(seeds)))}", "runtime.threads=1"]
    asked = " ".join(command)
    if marker.exists() and marker.read_text(encoding="utf-8").splitlines()[1:] == [asked]:
        return ""
    started = time.monotonic()
    print(f"{name}: storm-exp {asked}", flush=True)
    with log.open("w", encoding="utf-8") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "storm_exp", *command],
            cwd=WORK,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        )
    text = log.read_text(encoding="utf-8")
    folder = re.search(r"^run +(\S+)$", text, re.M)
    if done.returncode != 0 or folder is None:
        last = next(
            (line for line in reversed(text.splitlines()) if line.strip()), "it said nothing"
        )
        problem = f"{name} failed: {last} ({log})"
        print(problem, flush=True)
        return problem
    marker.write_text(f"{folder[1]}\n{asked}\n", encoding="utf-8")
    print(f"{name}: done in {time.monotonic() - started:.0f} s", flush=True)
    return ""


def write(page: str) -> None:
    """Write the measured part of a page and copy its runs' tables."""
    file = ROOT / f"docs/recipes/{page}.md"
    parts = "\n\n".join([f"`python benchmarks/study.py {page}`; {setting()}", *PAGES[page]()])
    text = file.read_text(encoding="utf-8").partition("<!-- measured -->")[0].rstrip()
    text += f"\n\n<!-- measured -->\n## What was measured\n\n{parts}\n"
    file.write_text(text, encoding="utf-8")
    for name in RUNS[page]:
        copy = ROOT / "benchmarks/study" / f"{name}.csv"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes((record(name).directory / "sweep.csv").read_bytes())
    print(f"wrote {file.relative_to(ROOT)}")


def write_overview() -> None:
    """Write the table of all recipes, where all of its runs are there."""
    file = ROOT / "docs/recipes/README.md"
    before, _, rest = file.read_text(encoding="utf-8").partition("<!-- study -->")
    _, _, after = rest.partition("<!-- /study -->")
    body = f"<!-- study -->\n{headline()}\n<!-- /study -->"
    file.write_text(before + body + after, encoding="utf-8")
    print("wrote docs/recipes/README.md")


def main() -> None:
    """Run and write the pages that are named, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("pages", nargs="*", metavar="|".join(RUNS))
    parser.add_argument("--only-write", action="store_true")
    parser.add_argument("--seeds", type=int, default=LEAST_SEEDS, metavar="N")
    asked = parser.parse_args()
    pages = asked.pages or list(RUNS)
    if unknown := set(pages) - set(RUNS):
        parser.error(f"no page {', '.join(sorted(unknown))}; there are {', '.join(RUNS)}")
    if asked.seeds < LEAST_SEEDS:
        parser.error(f"--seeds {asked.seeds}: fewer than {LEAST_SEEDS} say too little of runs")
    failures: list[str] = []
    if not asked.only_write:
        WORK.mkdir(parents=True, exist_ok=True)
        parts = [part for page in pages for part in RUNS[page].items()]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            found = pool.map(lambda part: run(part[0], part[1], asked.seeds), parts)
            failures = [problem for problem in found if problem]
    for page in pages:
        if missing := [name for name in RUNS[page] if not (WORK / f"{name}.txt").exists()]:
            failures.append(f"{page} is not written: it lacks {', '.join(missing)}")
        else:
            write(page)
    if all((WORK / f"{name}.txt").exists() for runs in RUNS.values() for name in runs):
        write_overview()
    if failures:
        sys.exit("\n".join(["", *failures]))


if __name__ == "__main__":
    main()
