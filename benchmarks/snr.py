"""The SNR scan against `torch.linalg.svdvals`, on the matrices of an 8 B Llama, on one thread.

python benchmarks/snr.py        takes turns and writes RESULTS.md (several minutes)

Ours is the whole ratio, with singular values in fp64; the peer's is singular values in fp32 alone.
Each shape is measured once a round and counts as often as a layer has it. svdvals may be slow on
wide matrices, so it is also given those in its favourite orientation. Accuracy and memory are of
scans of small models.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from results import table, write_section
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_model
from storm_training.trainable.selection import highest_snr
from storm_training.trainable.snr import matrix_snr, signal_to_noise
from storm_training.trainable.snr_scanner import SnrScanner

SHAPES = {
    "q, o": ((4096, 4096), 2),
    "k, v": ((1024, 4096), 2),
    "gate, up": ((14336, 4096), 2),
    "down": ((4096, 14336), 1),
}
"""Matrices of a layer: shape, and how many have it."""
SIDES = {
    "storm": matrix_snr,
    "svdvals": torch.linalg.svdvals,
    "upright": lambda matrix: torch.linalg.svdvals(matrix.T),
}
ROUNDS, TIME_BAR, TOLERANCE = 2, 0.5, 1e-5
FEW_LAYERS, MANY_LAYERS = 2, 12


def speed() -> dict[str, dict[str, float]]:
    """Take turns over the shapes; return the mean CPU seconds by shape and side.

    Only wide matrices are transposed for `upright`. On one thread CPU seconds are the time taken,
    less what other programs took of the processor.
    """
    for work in SIDES.values():
        work(torch.randn(256, 512))
    taken: dict[str, dict[str, list[float]]] = {name: {} for name in SHAPES}
    for number in range(ROUNDS):
        for name, (shape, _) in SHAPES.items():
            matrix = (torch.randn(shape) * 0.02).bfloat16().float()
            sides = [side for side in SIDES if side != "upright" or shape[0] < shape[1]]
            for side in sorted(sides, reverse=bool(number % 2)):
                started = time.process_time()
                SIDES[side](matrix)
                taken[name].setdefault(side, []).append(time.process_time() - started)
    means = {
        name: {side: statistics.mean(t) for side, t in of.items()} for name, of in taken.items()
    }
    return {name: {"upright": mean["svdvals"], **mean} for name, mean in means.items()}


def scan(layers: str) -> dict[str, float | bool]:
    """Scan a model of this many layers, then check it; return differences and peak memory.

    Random weights get a signal of a rank of their own, so that their ratios are not all alike.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, __file__, "model", layers, name], check=True)
        model = Checkpoint(folder / "model")
        matrix_snr(torch.randn(8, 8))  # loads what the first call loads
        before = resident()
        rows = SnrScanner().run(make_stage(folder), model).modules()
        peak = resident(most=True) - before
        exact: list[Any] = []
        for row in rows:
            values = torch.linalg.svdvals(model.tensor(row["name"]).double()).flip(0)
            snr = signal_to_noise(values, (row["shape"][0], row["shape"][1]))
            exact.append({**row, "snr": snr})
    shares = [share / 8 for share in range(1, 8)]
    return {
        "matrices": len(rows),
        "bytes": peak,
        "largest": max(abs(a["snr"] / b["snr"] - 1) for a, b in zip(rows, exact, strict=True)),
        "same": all(highest_snr(rows, share) == highest_snr(exact, share) for share in shares),
    }


def model(layers: str, folder: str) -> None:
    """Write a model of this many layers to `folder`/model."""
    from safetensors.torch import load_file, save_file

    where = make_model(Path(folder) / "model", hidden=512, intermediate=1792, layers=int(layers))
    tensors = load_file(where / "model.safetensors")
    for number, (name, weight) in enumerate(sorted(tensors.items())):
        if weight.ndim == 2:
            rank = 1 + number % 32
            signal = torch.randn(weight.shape[0], rank) @ torch.randn(rank, weight.shape[1])
            tensors[name] = (weight.float() + 0.01 * signal).bfloat16()
    save_file(tensors, where / "model.safetensors", {"format": "pt"})


def resident(*, most: bool = False) -> int:
    """Return the bytes of memory that this process has, or the most that it ever had."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    wanted = "VmHWM:" if most else "VmRSS:"
    line = next(line for line in status.splitlines() if line.startswith(wanted))
    return int(line.split()[1]) * 1024


def fresh(*arguments: str):  # type: ignore[no-untyped-def]
    """Return what this script returns in a process of its own, on one thread."""
    # OPENBLAS_CORETYPE and the like would slow one side down.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")}
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env={**clean, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def main() -> None:
    """Measure, check and write the section."""
    few, many = fresh("scan", str(FEW_LAYERS)), fresh("scan", str(MANY_LAYERS))
    assert many["largest"] < TOLERANCE, f"ratios differ by {many['largest']:.1e}"
    assert many["same"], "other matrices would be selected"
    seconds = fresh("speed")
    rows, sums = [], dict.fromkeys(SIDES, 0.0)
    for name, (shape, count) in SHAPES.items():
        one = seconds[name]
        rows.append([name, f"{count} × {shape[0]} × {shape[1]}", *_columns(one)])
        sums = {side: sums[side] + count * one[side] for side in SIDES}
    rows.append(["a layer", "", *_columns(sums)])
    header = ["", "", "storm_training", "svdvals", "ratio", "svdvals, upright", "ratio"]
    body = table(header, rows)
    body += (
        f"\n\nCPU seconds a matrix on one thread, mean of {ROUNDS}; bar: {TIME_BAR} of svdvals "
        f"for a layer. Scan of {many['matrices']} matrices of 512 × 512 to 1792 × 512: the largest "
        f"relative difference to ratios by an SVD in fp64 is {many['largest']:.0e} (bar: "
        f"{TOLERANCE:.0e}), the same matrices are selected at every eighth. Its peak memory above "
        f"what was loaded is {many['bytes'] / 2**20:.0f} MiB, that of a scan of "
        f"{few['matrices']} such matrices {few['bytes'] / 2**20:.0f} MiB."
    )
    write_section("The SNR scan of an 8 B model", "python benchmarks/snr.py", body)


def _columns(seconds: dict[str, float]) -> list[str]:
    ours = seconds["storm"]
    found = [f"{ours:.2f}"]
    for peer in ("svdvals", "upright"):
        found += [f"{seconds[peer]:.2f}", f"{ours / seconds[peer]:.2f}"]
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1:
        torch.set_num_threads(1)
        steps: dict[str, Callable[..., Any]] = {"speed": speed, "scan": scan, "model": model}
        answer = steps[sys.argv[1]](*sys.argv[2:])
        if answer is not None:
            print(json.dumps(answer))
    else:
        main()
