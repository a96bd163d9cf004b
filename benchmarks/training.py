"""Training against TRL: same model, same ragged chats, same supervised tokens, in turn.

pip install 'storm-exp[bench]'
python benchmarks/training.py sft    supervised fine-tuning, against SFTTrainer
python benchmarks/training.py dpo    preferences, against DPOTrainer
python benchmarks/training.py        both
python benchmarks/training.py sft --model smollm2 --precision float32 --rounds 1
                                     SmolLM2, 135 M parameters and 49,152 tokens, in ten minutes

A large model trains in bf16 only where the processor multiplies it, unless --precision says so.
With --threads 1 it can be run beside other work: two threads that wait for each other measure who
else is there. --rows and --rounds make it shorter.

TRL runs with chats at random and each batch padded to its longest, as its users run it on a CPU;
with chats grouped by length; and, for sft, packed. A plain loop of transformers and torch, without
a trainer, trains on the rows that we pack, and on chats at random. (TRL documents packing for
FlashAttention, which a CPU does not have; but transformers' sdpa keeps documents apart by their
positions, and the run checks that it did.) Of the variants of each, the fastest in a short trial is
measured. The time is that of the training loop, from the end of the first step to the end of the
last: imports, loading and tokenisation are not in it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from results import table, write_section
from training_data import make_smollm2, make_trained_model
from training_ways import PLAIN, PRECISIONS, TASKS, Options, precisions, ways

WORK = Path(os.environ.get("STORM_EXP_BENCH", "outputs/bench")).absolute()
SIDE = Path(__file__).parent / "training_side.py"
ROUNDS = 3
WINDOWS = 6
TOLERANCE = 0.02
"""Share by which losses at equal tokens may differ: each side draws its batches in its own way."""

PEERS = {"sft": "SFTTrainer", "dpo": "DPOTrainer"}
BARS = {
    ("small", "sft"): 2.5,
    ("small", "dpo"): 1.5,
    ("smollm2", "sft"): 2.0,
    ("smollm2", "dpo"): 1.5,
}
"""How many times as fast as TRL."""
PLAIN_BAR = 1.0
"""How many times as fast as the plain loop."""
MODELS = {
    "small": ("A llama of 4.3 M parameters", make_trained_model, "training_model"),
    "smollm2": ("SmolLM2, of 135 M parameters and 49,152 tokens", make_smollm2, "smollm2"),
}
"""What is trained: in words, who writes it, and where."""

Run = dict[str, Any]


def measure(**plan: Any) -> Run:
    """Run one side in a process of its own and return what it measured."""
    file = WORK / "plan.json"
    threads = str(plan["threads"])
    file.write_text(json.dumps(plan), encoding="utf-8")
    load = os.getloadavg()[0]
    done = subprocess.run(
        [sys.executable, str(SIDE), str(file)],
        env={**os.environ, "OMP_NUM_THREADS": threads},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{plan} failed:\n{done.stderr[-3000:]}")
    figures: Run = json.loads(done.stdout.splitlines()[-1])
    shown = ("side", "sampling", "packed", "accumulation", "precision")
    name = ", ".join(str(plan[key]) for key in shown if key in plan)
    print(f"{name}: {speed(figures):.0f} tokens/s, load {load:.1f}", flush=True)
    return figures | {"load": load}


def compare(
    objective: str,
    *,
    model: str = "small",
    precision: str | None = None,
    rounds: int = ROUNDS,
    **changes: Any,
) -> dict[str, list[Run]]:
    """Measure all ways of an objective in turn; returns the runs of each, in order.

    `precision` is that of all of them, else each has its fastest.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    _, make, place = MODELS[model]
    threads = len(os.sched_getaffinity(0))
    plan: Options = {"objective": objective, "model": str(make(WORK / place)), "threads": threads}
    plan |= TASKS[model][objective] | changes
    kinds = (precision,) if precision else precisions(model)
    compared = ways(objective, plan["batch_rows"])
    # Time is counted from the end of the first step: a trial needs two.
    short = plan | {"rows": max(plan["rows"] // 3, 16 * plan["batch_rows"]), "score": False}
    first = measure(**plan | {"score": False} | compared["storm"][0], precision=kinds[0])
    # As many chats in a step as fill the rows of one of ours: as many steps, of as many tokens.
    batch = {"batch": max(1, round(plan["rows"] / len(first["losses"])))}
    trials: dict[str, list[tuple[Options, Run]]] = {}
    chosen: dict[str, Options] = {}
    for name, variants in compared.items():
        tried = [batch | options | {"precision": p} for options in variants for p in kinds]
        chosen[name] = tried[0]
        if len(tried) > 1:
            trials[name] = [(options, measure(**short | options)) for options in tried]
            chosen[name] = max(trials[name], key=lambda one: speed(one[1]))[0]
    runs: dict[str, list[Run]] = {name: [] for name in chosen}
    for number in range(rounds):
        for name, options in chosen.items():
            runs[name].append(measure(**plan | options, seed=number))
    report(objective, model, precision, plan | batch, trials, chosen, runs)
    return runs


def speed(run: Run) -> float:
    return float(run["tokens_per_second"])


def median(runs: list[Run], figure: str) -> float:
    return float(statistics.median(run[figure] for run in runs))


def mean(runs: list[Run], figure: str) -> float:
    return float(statistics.mean(run[figure] for run in runs))


def report(
    objective: str,
    model: str,
    precision: str | None,
    plan: Options,
    trials: dict[str, list[tuple[Options, Run]]],
    best: dict[str, Options],
    runs: dict[str, list[Run]],
) -> None:
    """Check that all did the same work, and write the section."""
    peer, bar = PEERS[objective], BARS[model, objective]
    last = {name: found[-1] for name, found in runs.items()}
    for figure in ("tokens", "supervised"):
        sums = {name: sum(run[figure]) for name, run in last.items()}
        assert len(set(sums.values())) == 1, f"{figure} differ: {sums}"
    speeds = {name: median(found, "tokens_per_second") for name, found in runs.items()}
    ratios = {name: speeds["storm"] / speed for name, speed in speeds.items()}
    rows = []
    for name, found in runs.items():
        run = last[name]
        line = [
            name,
            f"{speeds[name]:,.0f}",
            f"{ratios[name]:.2f}",
            f"{median(found, 'tokens_per_processor_second'):,.0f}",
            f"{run['filled']:.0%}",
            f"{len(run['losses'])} × {sum(run['tokens']) / len(run['losses']):,.0f}",
            str(best[name]["precision"]),
            f"{median(found, 'peak_bytes') / 2**30:.2f} GiB",
            f"{mean(found, 'held_out'):.4f}",
        ]
        if objective == "dpo":
            line.append(f"{median(found, 'reference_seconds'):.1f} s")
        rows.append(line)
    header = [
        "",
        "real tokens/s",
        "ours is × faster",
        "per processor second",
        "of positions real",
        "steps × tokens",
    ]
    header += [
        "precision",
        "peak RSS",
        "held-out loss",
        *(["reference"] if objective == "dpo" else []),
    ]
    tried = [
        [name, _words(options), f"{speed(run):,.0f}", "taken" if options == best[name] else ""]
        for name, found in trials.items()
        for options, run in found
    ]
    parts = min(WINDOWS, *(len(run["losses"]) for run in last.values()))
    curves = {
        name: np.mean([curve(run, parts) for run in found], axis=0) for name, found in runs.items()
    }
    points = [f"{(number + 1) / parts:.0%}" for number in range(parts)]
    losses = [[name, *(f"{value:.3f}" for value in found)] for name, found in curves.items()]
    load = max(run["load"] for found in runs.values() for run in found)
    bars = {name: PLAIN_BAR if name in PLAIN else bar for name in ratios if name != "storm"}
    verdicts = [_verdict(name, ratios[name], bar) for name, bar in bars.items()]
    against = f"{bar} × {peer}" + (
        f" and {PLAIN_BAR} × the plain loop" if set(PLAIN) & set(bars) else ""
    )
    pairs = objective == "dpo"
    variants = "Variants tried on a part of the rows:\n\n" if tried else ""
    variants += table(["", "", "real tokens/s", ""], tried) if tried else ""
    body = f"""
{MODELS[model][0]}, {plan["rows"]:,} docstring {"pairs" if pairs else "chats"},
{sum(last["storm"]["tokens"]):,} real tokens, {sum(last["storm"]["supervised"]):,} of them
supervised, on all sides; {plan["batch"]} {"pairs" if pairs else "chats"} in a padded batch.
Threads: {plan["threads"]}. A fresh process for each of {len(runs["storm"])} runs, in turn; medians.
Losses are means over the runs, each of which draws its rows in another order. Only the training
loop is timed, without imports, loading and tokenisation. Load average before a run: at most
{load:.1f}.

{table(header, rows)}

The bar is {against}. {"; ".join(verdicts)}.

Loss per {"pair" if pairs else "supervised token"}, as training saw it, in {parts} parts of the
epoch (by length, a part has chats of another length; packed, TRL's rows are sorted):

{table(["until", *points], losses)}

{_agreement(objective, curves, runs)}

{variants}
"""
    title = f"Training against TRL: {objective}" + ("" if model == "small" else f", {model}")
    command = f"python benchmarks/training.py {objective} --threads {plan['threads']}"
    command += "" if model == "small" else f" --model {model}"
    command += f" --precision {precision}" if precision else ""
    command += f" --rows {plan['rows']} --rounds {len(runs['storm'])}"
    write_section(title, command, body, packages=("trl", "accelerate"))


def _words(options: Options) -> str:
    rows = f", {options.get('accumulation', 1)} × {options['batch']} rows"
    return str(options["precision"]) + (rows if options.get("packed") else "")


def _verdict(name: str, ratio: float, bar: float) -> str:
    return f"{name}: {ratio:.2f} ×, {'met' if ratio >= bar else 'missed'}"


def _agreement(objective: str, curves: dict[str, Any], runs: dict[str, list[Run]]) -> str:
    """Say whether losses are equal at equal tokens: held-out ones, for sft the curves, too."""
    pairs = zip(curves["storm"], curves["TRL, at random"], strict=True)
    apart = float(np.nanmax([abs(one - other) / other for one, other in pairs]))
    ours = mean(runs["storm"], "held_out")
    scores = [mean(found, "held_out") for name, found in runs.items() if name != "storm"]
    held = max(abs(ours / score - 1) for score in scores)
    judged = held if objective == "dpo" else max(apart, held)
    kept = "within" if judged <= TOLERANCE else "NOT within"
    noise = (
        " A part of the curve is a few dozen pairs, and every run draws others: it is not judged."
        if objective == "dpo"
        else ""
    )
    return (
        f"At equal tokens, the held-out losses of all (by transformers, in fp32, one row at a "
        f"time) are at most {held:.1%} from storm's, and the curves of storm and of TRL at random "
        f"at most {apart:.1%} apart: {kept} the tolerance of {TOLERANCE:.0%}.{noise}"
    )


def curve(run: Run, windows: int = WINDOWS) -> list[float]:
    """Return the mean loss of each of `windows` parts of a run, by what the loss counts."""
    total, done = sum(run["tokens"]), 0
    sums, weights = [0.0] * windows, [0.0] * windows
    for tokens, counted, loss in zip(run["tokens"], run["counted"], run["losses"], strict=True):
        part = min(windows - 1, int((done + tokens / 2) / total * windows))
        done += tokens
        sums[part] += loss * counted
        weights[part] += counted
    return [
        value / weight if weight else math.nan for value, weight in zip(sums, weights, strict=True)
    ]


def main() -> None:
    """Compare the objectives that are named, or both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("objectives", nargs="*", metavar="|".join(PEERS))
    for name in ("threads", "rows", "rounds"):
        parser.add_argument(f"--{name}", type=int, default=argparse.SUPPRESS)
    parser.add_argument("--model", choices=MODELS, default="small")
    parser.add_argument("--precision", choices=PRECISIONS)
    given = vars(parser.parse_args())
    objectives = given.pop("objectives") or list(PEERS)
    if unknown := set(objectives) - set(PEERS):
        parser.error(f"no task {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    for objective in objectives:
        compare(objective, **given)


if __name__ == "__main__":
    main()
