"""Distillation at a large vocabulary: ours in pieces of logits against KL over all of them.

python benchmarks/distillation.py        takes turns, in fresh processes, and writes RESULTS.md

Student and teacher are heads of 128 K tokens over hidden states of 2,048 positions, in fp32, and
the student's head trains. The peer is what a page of torch does: both logits as a whole,
`log_softmax` and `kl_div`. On one thread CPU seconds are the time taken, less what other programs
took of the processor.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn import functional

from results import table, write_section
from storm_training.losses import Head, divergence

VOCABULARY, POSITIONS, HIDDEN = 128_256, 2_048, 1_024
ROUNDS = 5
TIME_BAR, MEMORY_BAR, TOLERANCE = 1.15, 0.4, 1e-5


class Inputs(NamedTuple):
    """Hidden states and heads of a student and its teacher."""

    hidden: torch.Tensor
    weight: torch.Tensor
    teacher_hidden: torch.Tensor
    teacher_weight: torch.Tensor


def draw(vocabulary: int = VOCABULARY, positions: int = POSITIONS, hidden: int = HIDDEN) -> Inputs:
    """Return hidden states of unit size and heads that give logits of about ±1.5."""
    torch.manual_seed(0)
    pair = []
    for trains in (True, False):
        pair.append(torch.randn(positions, hidden).requires_grad_(trains))
        weight = torch.empty(vocabulary, hidden).normal_(std=1.5 / hidden**0.5)
        pair.append(weight.requires_grad_(trains))
    return Inputs(*pair)


def naive(given: Inputs) -> torch.Tensor:
    """Return the summed KL over whole logits."""
    with torch.no_grad():
        teacher = functional.linear(given.teacher_hidden, given.teacher_weight).softmax(1)
    student = functional.linear(given.hidden, given.weight).log_softmax(1)
    return functional.kl_div(student, teacher, reduction="sum")


def storm(given: Inputs) -> torch.Tensor:
    """Return ours."""
    labels = torch.zeros(len(given.hidden), dtype=torch.int64, device=given.hidden.device)
    teacher = Head(given.teacher_weight)
    return divergence(given.hidden, Head(given.weight), given.teacher_hidden, teacher, labels).loss


SIDES = {"naive": naive, "storm": storm}


def measure(side: str, folder: str) -> None:
    """Run one side once; print seconds, peak memory above the inputs and the loss as JSON.

    Gradients go into `folder`, if one is named.
    """
    torch.set_num_threads(1)
    given = draw()
    before = resident()
    started = time.process_time()
    loss = SIDES[side](given)
    (loss / POSITIONS).backward()
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    print(json.dumps({"seconds": seconds, "bytes": peak, "loss": float(loss.detach())}))
    if folder:
        for name in ("hidden", "weight"):
            numbers = getattr(given, name).grad.numpy()
            numbers.tofile(Path(folder) / f"{side}.{name}.bin")


def resident() -> int:
    """Return the bytes of memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def fresh(side: str, folder: str = "") -> dict[str, float]:
    """Measure in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, side, folder],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def differences(folder: Path) -> dict[str, float]:
    """Return by how much gradients differ, relative to their norm; raises AssertionError."""
    found = {}
    for name in ("hidden", "weight"):
        ours, theirs = (
            torch.from_file(str(file), size=file.stat().st_size // 4)
            for file in (folder / f"{side}.{name}.bin" for side in ("storm", "naive"))
        )
        found[name] = float((ours - theirs).norm() / theirs.norm())
        assert found[name] < TOLERANCE, f"gradients of {name} differ by {found[name]:.1e}"
    return found


def main() -> None:
    """Take turns and write the section."""
    with tempfile.TemporaryDirectory() as folder:
        ends = {side: fresh(side, folder) for side in SIDES}  # also warms the file cache
        apart = differences(Path(folder))
    loss = abs(ends["storm"]["loss"] / ends["naive"]["loss"] - 1)
    assert loss < TOLERANCE, f"losses differ by {loss:.1e}"
    taken: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for number in range(ROUNDS):
        for side in sorted(SIDES, reverse=bool(number % 2)):
            taken[side].append(fresh(side))
    rows = []
    for what, unit, bar in (("seconds", 1, TIME_BAR), ("bytes", 2**30, MEMORY_BAR)):
        ours, theirs = (
            statistics.median(run[what] for run in taken[side]) / unit
            for side in ("storm", "naive")
        )
        rows.append([f"{ours:.2f}", f"{theirs:.2f}", f"{ours / theirs:.2f}", str(bar)])
    rows[0].insert(0, "CPU seconds, median")
    rows[1].insert(0, "peak memory above the inputs, GiB")
    body = table(["", "storm_training", "whole logits", "ratio", "at most"], rows)
    body += (
        f"\n\n{VOCABULARY} tokens of vocabulary, {POSITIONS} positions, hidden size {HIDDEN}, "
        f"fp32, one thread, {ROUNDS} rounds. Relative differences: loss {loss:.0e}, "
        f"gradient of hidden states {apart['hidden']:.0e}, of the head {apart['weight']:.0e}."
    )
    title = "Distillation over 128 K tokens of vocabulary"
    write_section(title, "python benchmarks/distillation.py", body)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], sys.argv[2])
    else:
        main()
