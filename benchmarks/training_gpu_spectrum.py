"""Spectrum of an 8 B model on one GPU: tokens per second, and the share of the matmul rate."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from gpu_part import Deadline, Measured
from results import table
from training import Run
from training_gpu_models import EIGHT_BILLION, TINY, build, describe_device
from training_ways import Options

BAR = 0.5
"""Share of the GPU's measured matmul rate (MFU) that the 8 B model is to reach."""


@dataclasses.dataclass(kw_only=True)
class SpectrumPlan:
    """The settings of one run of the large model."""

    config: dict[str, Any]
    context: int = 8192
    rows: int = 2
    """Documents of `context` tokens in a step."""
    batch_rows: int = 1
    """Documents in a forward pass."""
    steps: int = 6
    precision: str = "bfloat16"
    rounding: str = "stochastic"
    activation_checkpointing: bool = True
    compile: bool = True


def spectrum(deadline: Deadline, *, miniature: bool) -> Measured:
    """Return the figures of Spectrum on an 8 B model, of the variants that time allows."""
    config = EIGHT_BILLION | (TINY if miniature else {})
    small: Options = {"context": 128, "steps": 3} if miniature else {}
    variants: list[Options] = [
        {"precision": "bfloat16", "rounding": "stochastic", "compile": False},
        {"precision": "bfloat16", "rounding": "stochastic", "compile": True},
        {"precision": "bfloat16", "rounding": "stochastic", "compile": True, "batch_rows": 2},
        {"precision": "bfloat16_mixed", "rounding": "nearest", "compile": True},
        {"compile": True, "activation_checkpointing": False},
    ]
    rate, lines = matmul_rate(1024 if miniature else 8192), []
    plan = SpectrumPlan(config=config, **small)
    network = build(config, torch.bfloat16, "meta")
    chosen = choose_half(network)
    operations = operations_per_token(network, plan.context)
    counts = {name: parameter.numel() for name, parameter in network.named_parameters()}
    total, trained = sum(counts.values()), sum(counts[name] for name in chosen)
    best: Run = {"tokens_per_second": 0.0, "peak_device_bytes": 0}
    longest = 0.0
    for variant in variants[:1] if miniature else variants:
        words = ", ".join(f"{key} {value}" for key, value in variant.items())
        if deadline.left() < longest:
            lines.append([words, "no time was left", "", "", ""])
            continue
        before = deadline.left()
        run = _spectrum_run(SpectrumPlan(config=config, **small | variant))
        longest = max(longest, before - deadline.left())
        if "error" in run:
            lines.append([words, run["error"], "", "", ""])
            continue
        best = max(best, run, key=lambda one: float(one["tokens_per_second"]))
        share = run["tokens_per_second"] * operations / rate
        memory = f"{run['peak_device_bytes'] / 2**30:.1f} GiB"
        rate_text = f"{run['tokens_per_second']:,.0f}"
        lines.append([words, rate_text, f"{share:.1%}", memory, f"{run['losses'][-1]:.3f}"])
    body = f"""
{describe_device()}. Llama-3.1-8B's shape with random weights ({total / 1e9:.2f} G
parameters), Spectrum at 50 % of the matrices of each type and embedding and head
({trained / 1e9:.2f} G trained), documents of {plan.context:,} tokens, {plan.rows} in a step. MFU
counts what has to be computed, {operations / 1e9:.1f} G operations a token: no weight gradient of
frozen matrices, half of the attention's square, no recomputation; against
{rate / 1e12:.1f} TFLOP/s, measured on a product
of large bf16 squares. The bar is {BAR:.0%}.

{table(["", "tokens/s", "MFU", "peak GPU memory", "last loss"], lines)}
"""
    figures = {
        "tokens_per_second": float(best["tokens_per_second"]),
        "mfu": best["tokens_per_second"] * operations / rate,
        "peak_device_bytes": float(best["peak_device_bytes"]),
        "matmul_flops_per_second": rate,
    }
    return Measured(body, figures)


def _spectrum_run(plan: SpectrumPlan) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.json"
        file.write_text(json.dumps(dataclasses.asdict(plan)), encoding="utf-8")
        command = [sys.executable, __file__, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        run: Run = json.loads(done.stdout.splitlines()[-1])
        return run
    if "OutOfMemoryError" in done.stderr:
        return {"error": "does not fit"}
    sys.exit(f"{plan} failed:\n{done.stderr[-3000:]}")


def train_spectrum(plan: SpectrumPlan) -> Run:
    """Train the large model in this process, and return the measurements."""
    from storm_exp import Runtime, StageContext
    from storm_training.data.token_sequences import TokenSequences
    from storm_training.loop.trainer import train
    from storm_training.objectives.objective import NextToken
    from storm_training.optim.settings import Precision, Rounding, TrainingSettings

    network = build(plan.config, torch.bfloat16)
    choose_half(network)
    draw = torch.Generator().manual_seed(0)
    shape = (plan.rows * plan.steps, plan.context)
    ids = torch.randint(plan.config["vocab_size"], shape, generator=draw).numpy()
    sequences = TokenSequences.collect((row, None) for row in ids)
    settings = TrainingSettings(
        steps=plan.steps,
        sequence_length=plan.context,
        batch_size=plan.batch_rows,
        gradient_accumulation_steps=max(1, plan.rows // plan.batch_rows),
        precision=Precision(plan.precision),
        rounding=Rounding(plan.rounding),
        activation_checkpointing=plan.activation_checkpointing,
        compile=plan.compile,
        checkpoint_every=None,
        validation_rows=0,
        loggers=[],
        seed=0,
    )
    ends: list[float] = []

    class Timed(NextToken):
        """Records the time at the end of each step, when the device has finished it."""

        def figures(self) -> dict[str, tuple[float, float]]:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ends.append(time.perf_counter())
            return super().figures()

    with tempfile.TemporaryDirectory() as folder:
        directory, scratch = Path(folder) / "train", Path(folder) / "scratch"
        directory.mkdir()
        scratch.mkdir()
        stage = StageContext("spectrum", directory, scratch, Runtime())
        log = train(network, sequences, settings, stage, objective=Timed())
    # The first two steps compile and allocate buffers.
    first = min(1, plan.steps - 2)
    tokens = sum(entry["tokens"] for entry in log.steps[first + 1 :])
    return {
        "tokens_per_second": tokens / (ends[-1] - ends[first]),
        "losses": [entry["loss"] for entry in log.steps],
        "peak_device_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
    }


def choose_half(network: PreTrainedModel) -> set[str]:
    """Freeze all parameters but those that Spectrum at 50 % trains, and return their names."""
    from storm_training.trainable.selection import choose
    from storm_training.trainable.settings import Method, TrainableSettings

    named = dict(network.named_parameters())
    chosen = choose(TrainableSettings(method=Method.spectrum), named, modules=_layer_rows(network))
    for name, parameter in named.items():
        parameter.requires_grad_(name in chosen)
    return chosen


def _layer_rows(network: PreTrainedModel) -> list[Any]:
    """Return a table with random ratios; those of random matrices would mean nothing."""
    draw = random.Random(0)
    rows = []
    for name, parameter in network.named_parameters():
        parts = name.split(".")
        if parts[-2].endswith("_proj") and parts[-1] == "weight":
            layer = int(parts[parts.index("layers") + 1])
            row = {"name": name, "type": parts[-2], "layer": layer, "snr": draw.random()}
            rows.append(row | {"shape": list(parameter.shape)})
    return rows


def operations_per_token(network: PreTrainedModel, context: int) -> int:
    """Return the operations per token of training on documents of `context` tokens.

    A matrix needs 2 per entry forward, 2 for the gradient of its input, and 2 for its own if it
    trains; causal attention computes half of its square, and twice as much in the backward pass.
    """
    total = 0
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            total += module.weight.numel() * (6 if module.weight.requires_grad else 4)
    config = network.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = size * config.num_attention_heads
    return int(total + 3 * 2 * context * width * config.num_hidden_layers)


def matmul_rate(size: int, rounds: int = 30) -> float:
    """Return operations per second of products of square bf16 matrices, the best of three."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.randn(size, size, device=device).bfloat16() for _ in range(2))
    rounds, best = (rounds if device == "cuda" else 2), float("inf")
    for _ in range(4):  # the first warms up
        _synchronise()
        started = time.perf_counter()
        for _ in range(rounds):
            left @ right
        _synchronise()
        best = min(best, time.perf_counter() - started)
    return rounds * 2 * size**3 / best


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":  # a run in a process of its own
    one = SpectrumPlan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(json.dumps(train_spectrum(one)))
