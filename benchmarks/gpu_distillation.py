"""Distillation at a large vocabulary on one GPU: ours in pieces of logits against whole ones."""

from __future__ import annotations

import time

import torch

from distillation import SIDES, Inputs, draw
from gpu_part import Deadline, Measured
from results import CHOICES, table
from training_gpu_models import describe_device

VOCABULARY, POSITIONS, HIDDEN = 128_256, 8_192, 4_096
MINIATURE = 512, 64, 32
ROUNDS = 5


def distil(deadline: Deadline, *, miniature: bool) -> Measured:
    """Return what a loss and its gradients take on each side."""
    vocabulary, positions, hidden = MINIATURE if miniature else (VOCABULARY, POSITIONS, HIDDEN)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    drawn = draw(vocabulary, positions, hidden)
    given = Inputs(*(each.detach().to(device) for each in drawn))
    for each, first in zip(given, drawn, strict=True):
        each.requires_grad_(first.requires_grad)
    taken: dict[str, list[tuple[float, int, float]]] = {side: [] for side in SIDES}
    for number in range(ROUNDS + 1):
        for side in SIDES:
            one = _measure(side, given)
            if number:  # the first round loads kernels
                taken[side].append(one)
        if deadline.left() < 0:
            break
    seconds, peaks, losses = (
        {side: choose(run[i] for run in runs) for side, runs in taken.items()}
        for i, choose in enumerate(CHOICES)
    )
    apart = abs(losses["storm"] / losses["naive"] - 1)
    assert apart < 1e-4, f"losses differ by {apart:.1e}"
    rows = [
        [side, f"{1e3 * seconds[side]:.1f} ms", f"{peaks[side] / 2**30:.2f} GiB"] for side in SIDES
    ]
    body = f"""
{describe_device()}. {vocabulary:,} tokens of vocabulary, {positions:,} positions, hidden size
{hidden:,}, fp32; medians of {len(taken["storm"])} rounds in turn, memory above the inputs.

{table(["", "time", "peak GPU memory"], rows)}
"""
    ratio = seconds["storm"] / seconds["naive"]
    figures = {f"{side}_seconds": seconds[side] for side in SIDES} | {"time_ratio": ratio}
    return Measured(body, figures | {f"{side}_peak_bytes": float(peaks[side]) for side in SIDES})


def _measure(side: str, given: Inputs) -> tuple[float, int, float]:
    """Return seconds, peak bytes on the GPU above the inputs, and the loss."""
    on_gpu = given.hidden.is_cuda
    for each in given:
        each.grad = None
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if on_gpu else 0
    started = time.perf_counter()
    loss = SIDES[side](given)
    (loss / len(given.hidden)).backward()
    if on_gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return (
        seconds,
        torch.cuda.max_memory_allocated() - before if on_gpu else 0,
        float(loss.detach()),
    )
