"""Training against TRL: same model, same ragged chats, same supervised tokens, in turn.

pip install 'storm-exp[bench]'
python benchmarks/training.py sft    supervised fine-tuning, against SFTTrainer
python benchmarks/training.py dpo    preferences, against DPOTrainer
python benchmarks/training.py        both

TRL pads each batch to its longest chat (its packing needs FlashAttention to keep documents apart,
which a CPU does not have), once with chats drawn at random and once grouped by length. Either side
takes the precision that is faster for it. The time is that of the training loop, from the end of
the first step to the end of the last: imports, loading and tokenisation are not in it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from results import table, write_section
from training_data import make_trained_model

WORK = Path(os.environ.get("STORM_EXP_BENCH", "outputs/bench")).absolute()
SIDE = Path(__file__).parent / "training_side.py"
ROUNDS = 3
WINDOWS = 6
TOLERANCE = 0.02
"""Share by which losses at equal tokens may differ: each side draws its batches in its own way."""

PRECISIONS = ("bf16-mixed", "32")
SIDES: dict[str, dict[str, Any]] = {
    "storm": {"side": "storm"},
    "TRL": {"side": "trl"},
    "TRL, grouped by length": {"side": "trl", "sampling": "group_by_length"},
}
TASKS: dict[str, dict[str, Any]] = {
    "sft": {"rows": 1000, "held_out": 100, "learning_rate": 1e-3},
    "dpo": {"rows": 400, "held_out": 60, "learning_rate": 2e-4},
}
BARS = {"sft": ("SFTTrainer", 2.5), "dpo": ("DPOTrainer", 1.5)}

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
    speed = f"{figures['tokens_per_second']:.0f} tokens/s"
    name = [str(plan.get(key, "")) for key in ("side", "sampling", "precision")]
    print(" ".join(name), speed, f"load {load:.1f}", flush=True)
    return figures | {"load": load}


def compare(objective: str, *, rounds: int = ROUNDS, **changes: Any) -> dict[str, list[Run]]:
    """Measure all sides of an objective in turn; returns the runs of each, in order."""
    WORK.mkdir(parents=True, exist_ok=True)
    model = make_trained_model(WORK / "training_model")
    threads = len(os.sched_getaffinity(0))
    plan = {"objective": objective, "model": str(model), "threads": threads}
    plan |= TASKS[objective] | changes
    short = plan | {"rows": plan["rows"] // 3, "score": False}
    first = measure(**short, **SIDES["storm"], precision=PRECISIONS[0])
    # As many chats in a step as fill the rows of one of ours: the same number of real tokens.
    step, row = statistics.median(first["tokens"]), sum(first["tokens"]) / short["rows"]
    plan["batch"] = short["batch"] = max(1, round(step / row))
    trials = {
        name: {kind: measure(**short, **side, precision=kind) for kind in PRECISIONS}
        for name, side in SIDES.items()
    }
    best = {name: max(tried, key=lambda k: _speed(tried[k])) for name, tried in trials.items()}
    runs: dict[str, list[Run]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name, side in SIDES.items():
            runs[name].append(measure(**plan, **side, precision=best[name]))
    report(objective, plan, trials, best, runs)
    return runs


def _speed(run: Run) -> float:
    return float(run["tokens_per_second"])


def _median(runs: list[Run], figure: str) -> float:
    return float(statistics.median(run[figure] for run in runs))


def report(
    objective: str,
    plan: dict[str, Any],
    trials: dict[str, dict[str, Run]],
    best: dict[str, str],
    runs: dict[str, list[Run]],
) -> None:
    """Check that both sides did the same work, and write the section."""
    peer, bar = BARS[objective]
    last = {name: found[-1] for name, found in runs.items()}
    for figure in ("tokens", "supervised"):
        sums = {name: sum(run[figure]) for name, run in last.items()}
        assert len(set(sums.values())) == 1, f"{figure} differ: {sums}"
    ours = _median(runs["storm"], "tokens_per_second")
    rows = []
    for name, found in runs.items():
        run = last[name]
        tried = " / ".join(f"{_speed(trials[name][kind]):,.0f}" for kind in PRECISIONS)
        line = [
            name,
            f"{_median(found, 'tokens_per_second'):,.0f}",
            f"{ours / _median(found, 'tokens_per_second'):.2f}",
            best[name],
            tried,
            f"{run['filled']:.0%}",
            f"{len(run['losses'])} × {sum(run['tokens']) / len(run['losses']):,.0f}",
            f"{_median(found, 'peak_bytes') / 2**30:.2f} GiB",
            f"{run['held_out']:.4f}",
        ]
        if objective == "dpo":
            line.append(f"{_median(found, 'reference_seconds'):.1f} s")
        rows.append(line)
    header = ["", "real tokens/s", "ours is", "precision", " / ".join(PRECISIONS), "filled"]
    header += ["steps × tokens", "peak RSS", "held-out loss"]
    header += ["reference"] if objective == "dpo" else []
    curves = {name: curve(run) for name, run in last.items()}
    points = [f"{(number + 1) / WINDOWS:.0%}" for number in range(WINDOWS)]
    losses = [[name, *(f"{value:.3f}" for value in found)] for name, found in curves.items()]
    apart = max(
        abs(mine - theirs) / theirs
        for mine, theirs in zip(curves["storm"], curves["TRL"], strict=True)
    )
    held = abs(last["storm"]["held_out"] / last["TRL"]["held_out"] - 1)
    ratios = {
        name: ours / _median(found, "tokens_per_second")
        for name, found in runs.items()
        if name != "storm"
    }
    load = max(run["load"] for found in runs.values() for run in found)
    counts = "pair" if objective == "dpo" else "supervised token"
    body = f"""
A llama of 4.3 M parameters, {plan["rows"]:,} docstring chats, {sum(last["storm"]["tokens"]):,}
real tokens, {sum(last["storm"]["supervised"]):,} of them supervised on both sides; {plan["batch"]}
{"pairs" if objective == "dpo" else "chats"} in a batch of TRL's. {plan["threads"]} threads, a
fresh process for each of {len(runs["storm"])} runs, in turn; medians. Only the training loop is
timed, without imports, loading and tokenisation. Load average before a run: at most {load:.1f}.

{table(header, rows)}

{peer} with chats at random: {_verdict(ratios["TRL"], bar)}. Grouped by length:
{_verdict(ratios["TRL, grouped by length"], bar)}.

Loss per {counts} over the epoch, in {WINDOWS} parts of equal length:

{table(["until", *points], losses)}

Chats at random: the curves are at most {apart:.1%} apart and held-out losses (by transformers, in
fp32, chat by chat) {held:.1%}; {"within" if max(apart, held) <= TOLERANCE else "NOT within"} the
tolerance of {TOLERANCE:.0%}. (Grouped by length, parts of the epoch hold chats of other lengths.)
"""
    title = f"Training against TRL: {objective}"
    command = f"python benchmarks/training.py {objective}"
    write_section(title, command, body, packages=("trl", "accelerate"))


def _verdict(ratio: float, bar: float) -> str:
    return f"{ratio:.2f} ×, the bar of {bar} × is {'met' if ratio >= bar else 'missed'}"


def curve(run: Run) -> list[float]:
    """Return the mean loss of each of WINDOWS parts of a run, by what the loss counts."""
    total, done = sum(run["tokens"]), 0
    sums, weights = [0.0] * WINDOWS, [0.0] * WINDOWS
    for tokens, supervised, loss in zip(
        run["tokens"], run["supervised"], run["losses"], strict=True
    ):
        part = min(WINDOWS - 1, int((done + tokens / 2) / total * WINDOWS))
        done += tokens
        sums[part] += loss * supervised
        weights[part] += supervised
    return [value / weight for value, weight in zip(sums, weights, strict=True)]


def main(names: list[str]) -> None:
    """Compare the objectives that are named, or both."""
    for name in names or list(TASKS):
        compare(name)


if __name__ == "__main__":
    main(sys.argv[1:])
