"""What is measured on one GPU, all of it in one call of nine minutes at most.

pip install 'storm-exp[bench,gpu,fp8,gguf]'   and flash-attn, if TRL is to have it
python benchmarks/gpu.py                      all parts: figures as JSON, a table, and their pages
python benchmarks/gpu.py spectrum judging     these parts
python benchmarks/gpu.py --seconds 240        in less time: what does not fit is named
python benchmarks/gpu.py --miniature          all parts in miniature, on a CPU too; no pages

spectrum      8 B, half of the matrices, 8 K context: tokens/s, MFU
judging       our scorer, and vLLM where it is installed or has its environment
distillation  a loss over 128 K tokens of vocabulary
export        a merge, FP8, GGUF
trl           TRL packed with isolated documents against ours

Weights are random, in the sizes of Qwen2.5-0.5B and of Llama-3.1-8B; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import torch

from gpu_part import Deadline, Measured
from results import table, write_section

SECONDS = 520
"""Of all parts together: nine minutes, less what starting and ending takes."""


@dataclasses.dataclass(frozen=True)
class Part:
    """What is measured by a process of its own."""

    title: str
    """Of its section."""
    entry: str
    """The function that measures it, as module:function."""
    share: float
    """Of the time, beside those of the parts that follow."""
    package: str = "torch"
    """What it cannot do without."""


PARTS = {
    "spectrum": Part(
        "Spectrum of an 8 B model on one GPU", "training_gpu_spectrum:spectrum", 160, "lightning"
    ),
    "judging": Part("Judging on one GPU", "gpu_judging:judge", 110),
    "distillation": Part("Distillation on one GPU", "gpu_distillation:distil", 30),
    "export": Part("Export on a GPU's machine", "gpu_export:export", 60),
    "trl": Part(
        "Training against TRL on a GPU, 0.5 B parameters",
        "training_gpu_trl:against_trl",
        160,
        "trl",
    ),
}


def run_part(name: str, seconds: float, *, miniature: bool) -> Measured | str:
    """Measure a part in a process of its own; returns why not, if it was not."""
    if importlib.util.find_spec(PARTS[name].package) is None:
        return f"{PARTS[name].package} is not installed"
    words = [sys.executable, __file__, name, "--part", "--seconds", str(seconds)]
    words += ["--miniature"] if miniature else []
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that it started
            return f"not done in {seconds:.0f} s"
    if process.returncode != 0:
        return f"failed with {process.returncode}"
    return Measured(**json.loads(said.splitlines()[-1]))


def measure(name: str, seconds: float, *, miniature: bool) -> Measured:
    """Measure a part in this process; it is to end some time before it is ended."""
    module, _, function = PARTS[name].entry.partition(":")
    part = getattr(importlib.import_module(module), function)
    found: Measured = part(Deadline(0.85 * seconds), miniature=miniature)
    return found


def measure_all(names: list[str], seconds: float, *, miniature: bool) -> dict[str, Any]:
    """Measure parts in turn, and return their figures by name; pages are written on the way."""
    until = time.monotonic() + seconds
    found: dict[str, Any] = {}
    for place, name in enumerate(names):
        shares = [PARTS[each].share for each in names[place:]]
        room = (until - time.monotonic()) * shares[0] / sum(shares)
        outcome = run_part(name, max(room, 1), miniature=miniature)
        if isinstance(outcome, str):
            print(f"{name}: {outcome}", flush=True)
            found[name] = {"not measured": outcome}
            continue
        found[name] = outcome.figures
        if miniature:
            print(outcome.body, flush=True)
        else:
            command = f"python benchmarks/gpu.py {name}"
            further = ("trl", "flash_attn", "liger_kernel", "vllm", "gguf")
            write_section(PARTS[name].title, command, outcome.body, packages=further)
    return found


def main(arguments: list[str]) -> None:
    """Measure the named parts, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="|".join(PARTS))
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--miniature", action="store_true")
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if not given.miniature and not torch.cuda.is_available():
        print("no CUDA device here: nothing measured (--miniature runs the same code on a CPU)")
        return
    if given.part:
        one = measure(given.parts[0], given.seconds, miniature=given.miniature)
        print(json.dumps(dataclasses.asdict(one)))
        return
    found = measure_all(given.parts or list(PARTS), given.seconds, miniature=given.miniature)
    rows = [
        [name, figure, value if isinstance(value, str) else f"{value:,.4g}"]
        for name, figures in found.items()
        for figure, value in figures.items()
    ]
    print(table(["part", "figure", ""], rows))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
