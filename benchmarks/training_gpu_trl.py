"""Our training against TRL's on one GPU, at 0.5 B parameters."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import torch

from gpu_part import Deadline, Measured
from results import table
from training import ROUNDS, TOLERANCE, Run, curve, measure, median, speed
from training_data import TEMPLATE
from training_gpu_models import HALF_BILLION, TINY, build, describe_device
from training_ways import Options

WORK = Path(os.environ.get("STORM_EXP_BENCH", "outputs/bench")).absolute()


def against_trl(deadline: Deadline, *, miniature: bool) -> Measured:
    """Return the comparison at 0.5 B parameters, of the variants and rounds that time allows."""
    WORK.mkdir(parents=True, exist_ok=True)
    place = "training_tiny" if miniature else "training_half_billion"
    model = _half_billion(WORK / place, miniature=miniature)
    length, rows = (1024, 1) if miniature else (4096, 4)
    plan: Options = {"objective": "sft", "model": str(model), "precision": "bfloat16_mixed"}
    plan |= {"rows": 60, "held_out": 2} if miniature else {"rows": 4000, "held_out": 100}
    plan |= {"learning_rate": 1e-4, "sequence_length": length}
    plan |= {"threads": len(os.sched_getaffinity(0))}
    compiled = [False] if miniature else [False, True]
    passes: list[Options] = [{"batch": rows}, {"batch": 1, "accumulation": rows}]
    lean = _installed("liger_kernel") and not miniature
    variants: dict[str, list[Options]] = {
        "storm": [{"side": "storm", "batch_rows": rows, "compile": yes} for yes in compiled],
        "TRL, packed": [
            {"side": "trl", "packed": length, "attention": name, "liger": liger} | cut
            for name in _attentions()
            for liger in ([False, True] if lean else [False])
            for cut in passes[: 1 if miniature else 2]
        ],
    }
    short = plan if miniature else plan | {"rows": plan["rows"] // 4}
    trials: dict[str, list[tuple[Options, Run]]] = {name: [] for name in variants}
    room, longest, skipped = deadline.left() / 2, 0.0, []
    for name, options in _in_turn(variants):
        before = deadline.left()
        if trials[name] and before - longest < room:
            skipped.append(f"{name}: {_describe(options)}")
            continue
        trials[name].append((options, measure(**short | options, score=False)))
        longest = max(longest, before - deadline.left())
    best = {
        name: max(tried, key=lambda trial: speed(trial[1]))[0] for name, tried in trials.items()
    }
    runs: dict[str, list[Run]] = {name: [] for name in best}
    longest = 0.0
    for number in range(1 if miniature else ROUNDS):
        before = deadline.left()
        if number and before < longest:
            break
        for name, options in best.items():
            runs[name].append(measure(**plan | options))
        longest = max(longest, before - deadline.left())
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
    untried = f" For these no time was left: {'; '.join(skipped)}." if skipped else ""
    body = f"""
{describe_device()}. Qwen2.5-0.5B's shape with random weights, {plan["rows"]:,} docstring
chats in rows of {length:,} tokens, {rows} rows in a step, bf16 over fp32 weights; medians of
{len(runs["storm"])} runs in turn, each in a process of its own. Documents do not see
each other on either side (checked).

{table(header, lines)}

Held-out losses are {difference:.1%} apart: {verdict} the tolerance of {TOLERANCE:.0%}.

Variants tried, on {short["rows"]:,} chats:{untried}

{table(["", "", "real tokens/s", ""], variant_lines)}
"""
    ratio = speeds["storm"] / speeds["TRL, packed"]
    figures = {"tokens_per_second": speeds["storm"], "trl_tokens_per_second": speeds["TRL, packed"]}
    return Measured(body, figures | {"ratio": ratio, "held_out_difference": difference})


def _in_turn(variants: dict[str, list[Options]]) -> list[tuple[str, Options]]:
    """Return the variants of all sides, the first of each first."""
    longest = max(map(len, variants.values()))
    return [
        (name, tried[place])
        for place in range(longest)
        for name, tried in variants.items()
        if place < len(tried)
    ]


def _half_billion(folder: Path, *, miniature: bool) -> Path:
    if not (folder / "config.json").is_file():
        from storm_models.testing import make_tokenizer

        tokenizer = make_tokenizer(8192)
        tokenizer.chat_template = TEMPLATE
        network = build(HALF_BILLION | (TINY if miniature else {}), torch.bfloat16)
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
