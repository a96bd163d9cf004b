"""Our training against TRL's on one GPU, at 0.5 B parameters."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import torch

from results import table
from training import ROUNDS, TOLERANCE, Options, Run, curve, measure, median, speed
from training_data import TEMPLATE
from training_gpu_models import HALF_BILLION, TINY, build, describe_device

WORK = Path(os.environ.get("STORM_EXP_BENCH", "outputs/bench")).absolute()


def against_trl(*, tiny: bool) -> str:
    """Return the comparison at 0.5 B parameters, as Markdown."""
    model = _half_billion(WORK / ("training_tiny" if tiny else "training_half_billion"), tiny=tiny)
    length, rows = (1024, 1) if tiny else (4096, 4)
    plan: Options = {"objective": "sft", "model": str(model), "precision": "bf16-mixed"}
    plan |= {"rows": 60 if tiny else 4000, "held_out": 2 if tiny else 100, "learning_rate": 1e-4}
    plan |= {"threads": len(os.sched_getaffinity(0)), "sequence_length": length}
    compiled = [False] if tiny else [False, True]
    variants: dict[str, list[Options]] = {
        "storm": [{"side": "storm", "batch_rows": rows, "compile": yes} for yes in compiled],
        "TRL, packed": [
            {"side": "trl", "packed": length, "attention": name, "liger": liger} | passes
            for name in _attentions()
            for liger in ([False, True] if _installed("liger_kernel") and not tiny else [False])
            for passes in ({"batch": rows}, {"batch": 1, "accumulation": rows})[: 1 if tiny else 2]
        ],
    }
    trials = {
        name: [(options, measure(**plan | options, score=False)) for options in tried]
        for name, tried in variants.items()
    }
    best = {
        name: max(tried, key=lambda trial: speed(trial[1]))[0] for name, tried in trials.items()
    }
    runs: dict[str, list[Run]] = {name: [] for name in best}
    for _ in range(1 if tiny else ROUNDS):
        for name, options in best.items():
            runs[name].append(measure(**plan | options))
    last = {name: repeats[-1] for name, repeats in runs.items()}
    for figure in ("tokens", "supervised"):
        sums = {name: sum(run[figure]) for name, run in last.items()}
        assert len(set(sums.values())) == 1, f"{figure} differ: {sums}"
    speeds = {name: median(repeats, "tokens_per_second") for name, repeats in runs.items()}
    lines = [
        [
            name,
            f"{speeds[name]:,.0f}",
            f"{speeds['storm'] / speeds[name]:.2f}",
            f"{median(repeats, 'peak_device_bytes') / 2**30:.2f} GiB",
            f"{last[name]['held_out']:.4f}",
            ", ".join(f"{value:.3f}" for value in curve(last[name])),
        ]
        for name, repeats in runs.items()
    ]
    header = ["", "real tokens/s", "ours is × faster", "peak GPU memory", "held-out loss", "losses"]
    variant_lines = [
        [name, _describe(options), f"{speed(run):,.0f}", "taken" if options == best[name] else ""]
        for name, tried in trials.items()
        for options, run in tried
    ]
    difference = abs(last["storm"]["held_out"] / last["TRL, packed"]["held_out"] - 1)
    verdict = "within" if difference <= TOLERANCE else "NOT within"
    return f"""
{describe_device()}. Qwen2.5-0.5B's shape with random weights, {plan["rows"]:,} docstring
chats in rows of {length:,} tokens, {rows} rows in a step, bf16 over fp32 weights; medians of
{len(runs["storm"])} runs in turn, each in a process of its own. Documents do not see
each other on either side (checked).

{table(header, lines)}

Held-out losses are {difference:.1%} apart: {verdict} the tolerance of {TOLERANCE:.0%}.

Variants tried:

{table(["", "", "real tokens/s", ""], variant_lines)}
"""


def _half_billion(folder: Path, *, tiny: bool) -> Path:
    if not (folder / "config.json").is_file():
        from storm_models.testing import make_tokenizer

        tokenizer = make_tokenizer(8192)
        tokenizer.chat_template = TEMPLATE
        network = build(HALF_BILLION | (TINY if tiny else {}), torch.bfloat16)
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _attentions() -> list[str]:
    known = {"flash_attn": "flash_attention_2", "flash_attn_interface": "flash_attention_3"}
    return [*(name for package, name in known.items() if _installed(package)), "sdpa"]


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _describe(options: Options) -> str:
    shown = ("attention", "liger", "compile", "batch", "accumulation")
    return ", ".join(f"{key} {options[key]}" for key in shown if key in options)
