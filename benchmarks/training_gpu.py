"""Training on one GPU: against TRL at 0.5 B parameters, and Spectrum of an 8 B model.

pip install 'storm-exp[bench,gpu]'        and flash-attn, if TRL is to have it
python benchmarks/training_gpu.py trl        TRL packed with isolated documents against ours
python benchmarks/training_gpu.py spectrum   8 B, half of the matrices, 8 K context: tokens/s, MFU
python benchmarks/training_gpu.py            both
python benchmarks/training_gpu.py --tiny     both in miniature, on a CPU too: shows that it runs

Weights are random, in the sizes of Qwen2.5-0.5B and of Llama-3.1-8B; nothing is downloaded.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from results import table, write_section
from training import ROUNDS, TOLERANCE, Options, Run, curve, measure, median, speed
from training_data import TEMPLATE

WORK = Path(os.environ.get("STORM_EXP_BENCH", "outputs/bench")).absolute()
BAR = 0.5
"""Share of the card's measured matmul rate (MFU) that the 8 B model is to reach."""

HALF_BILLION = {
    "model_type": "qwen2",
    "vocab_size": 151936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "rope_theta": 1e6,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": True,
}
EIGHT_BILLION = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "rope_theta": 5e5,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
TINY = {
    "vocab_size": 8192,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@dataclasses.dataclass(kw_only=True)
class SpectrumPlan:
    """One run of the large model."""

    config: dict[str, Any]
    context: int = 8192
    rows: int = 2
    """Documents of `context` tokens in a step."""
    batch_rows: int = 1
    """And in a forward pass."""
    steps: int = 6
    precision: str = "bf16"
    rounding: str = "stochastic"
    activation_checkpointing: bool = True
    compile: bool = True


# Against TRL


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
    best = {name: max(tried, key=lambda one: speed(one[1]))[0] for name, tried in trials.items()}
    runs: dict[str, list[Run]] = {name: [] for name in best}
    for _ in range(1 if tiny else ROUNDS):
        for name, options in best.items():
            runs[name].append(measure(**plan | options))
    last = {name: found[-1] for name, found in runs.items()}
    for figure in ("tokens", "supervised"):
        sums = {name: sum(run[figure]) for name, run in last.items()}
        assert len(set(sums.values())) == 1, f"{figure} differ: {sums}"
    speeds = {name: median(found, "tokens_per_second") for name, found in runs.items()}
    lines = [
        [
            name,
            f"{speeds[name]:,.0f}",
            f"{speeds['storm'] / speeds[name]:.2f}",
            f"{median(found, 'peak_device_bytes') / 2**30:.2f} GiB",
            f"{last[name]['held_out']:.4f}",
            ", ".join(f"{value:.3f}" for value in curve(last[name])),
        ]
        for name, found in runs.items()
    ]
    header = ["", "real tokens/s", "ours is × faster", "peak GPU memory", "held-out loss", "losses"]
    tried = [
        [name, _words(options), f"{speed(run):,.0f}", "taken" if options == best[name] else ""]
        for name, found in trials.items()
        for options, run in found
    ]
    held = abs(last["storm"]["held_out"] / last["TRL, packed"]["held_out"] - 1)
    kept = "within" if held <= TOLERANCE else "NOT within"
    return f"""
{_card()}. Qwen2.5-0.5B's shape with random weights, {plan["rows"]:,} docstring chats in rows of
{length:,} tokens, {rows} rows in a step, bf16 over fp32 weights; medians of {len(runs["storm"])}
runs in turn, each in a process of its own. Documents do not see
each other on either side (checked).

{table(header, lines)}

Held-out losses are {held:.1%} apart: {kept} the tolerance of {TOLERANCE:.0%}.

Variants tried:

{table(["", "", "real tokens/s", ""], tried)}
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
    found = [name for package, name in known.items() if _installed(package)]
    return [*found, "sdpa"]


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _words(options: Options) -> str:
    shown = ("attention", "liger", "compile", "batch", "accumulation")
    return ", ".join(f"{key} {options[key]}" for key in shown if key in options)


# The large model


def spectrum(*, tiny: bool) -> str:
    """Return the figures of Spectrum on an 8 B model, as Markdown."""
    config = EIGHT_BILLION | (TINY if tiny else {})
    small: Options = {"context": 128, "steps": 3} if tiny else {}
    variants: list[Options] = [
        {"precision": "bf16", "rounding": "stochastic", "compile": False},
        {"precision": "bf16", "rounding": "stochastic", "compile": True},
        {"precision": "bf16", "rounding": "stochastic", "compile": True, "batch_rows": 2},
        {"precision": "bf16-mixed", "rounding": "nearest", "compile": True},
        {"compile": True, "activation_checkpointing": False},
    ]
    rate, lines = matmul_rate(1024 if tiny else 8192), []
    plan = SpectrumPlan(config=config, **small)
    network = build(config, torch.bfloat16, "meta")
    chosen = choose_half(network)
    operations = operations_per_token(network, plan.context)
    counts = {name: parameter.numel() for name, parameter in network.named_parameters()}
    total, trained = sum(counts.values()), sum(counts[name] for name in chosen)
    for variant in variants[:1] if tiny else variants:
        plan = SpectrumPlan(config=config, **small | variant)
        run = _spectrum_run(plan)
        words = ", ".join(f"{key} {value}" for key, value in variant.items())
        if "error" in run:
            lines.append([words, run["error"], "", "", ""])
            continue
        share = run["tokens_per_second"] * operations / rate
        memory = f"{run['peak_device_bytes'] / 2**30:.1f} GiB"
        spoken = f"{run['tokens_per_second']:,.0f}"
        lines.append([words, spoken, f"{share:.1%}", memory, f"{run['losses'][-1]:.3f}"])
    return f"""
{_card()}. Llama-3.1-8B's shape with random weights ({total / 1e9:.2f} G parameters), Spectrum at
50 % of the matrices of each type and embedding and head ({trained / 1e9:.2f} G trained), documents
of {plan.context:,} tokens, {plan.rows} in a step. MFU counts what has to be computed,
{operations / 1e9:.1f} G operations a token: no weight gradient of frozen matrices, half of the
attention's square, no recomputation; against {rate / 1e12:.1f} TFLOP/s, measured on a product
of large bf16 squares. The bar is {BAR:.0%}.

{table(["", "tokens/s", "MFU", "peak GPU memory", "last loss"], lines)}
"""


def _spectrum_run(plan: SpectrumPlan) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.json"
        file.write_text(json.dumps(dataclasses.asdict(plan)), encoding="utf-8")
        command = [sys.executable, __file__, "one", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        run: Run = json.loads(done.stdout.splitlines()[-1])
        return run
    if "OutOfMemoryError" in done.stderr:
        return {"error": "does not fit"}
    sys.exit(f"{plan} failed:\n{done.stderr[-3000:]}")


def train_spectrum(plan: SpectrumPlan) -> Run:
    """Train the large model in this process and return what was measured."""
    from storm_exp import Runtime, StageContext
    from storm_training.data.token_sequences import TokenSequences
    from storm_training.loop.trainer import train
    from storm_training.objectives.objective import NextToken
    from storm_training.optim.settings import TrainingSettings

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
        precision=plan.precision,
        rounding=plan.rounding,
        activation_checkpointing=plan.activation_checkpointing,
        compile=plan.compile,
        checkpoint_every=None,
        validation_rows=0,
        loggers=[],
        seed=0,
    )
    ends: list[float] = []

    class Watched(NextToken):
        """Notes when each step ended; by then its loss has been read, so the device is done."""

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
        log = train(network, sequences, settings, stage, objective=Watched())
    # The first two steps compile, and find the sizes of buffers.
    first = min(1, plan.steps - 2)
    tokens = sum(entry["tokens"] for entry in log.steps[first + 1 :])
    return {
        "tokens_per_second": tokens / (ends[-1] - ends[first]),
        "losses": [entry["loss"] for entry in log.steps],
        "peak_device_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
    }


def choose_half(network: PreTrainedModel) -> set[str]:
    """Let train what Spectrum at 50 % lets train, and return the names."""
    from storm_training.trainable.selection import choose
    from storm_training.trainable.settings import TrainableSettings

    named = dict(network.named_parameters())
    chosen = choose(TrainableSettings(method="spectrum"), named, modules=_layer_rows(network))
    for name, parameter in named.items():
        parameter.requires_grad_(name in chosen)
    return chosen


def _layer_rows(network: PreTrainedModel) -> list[Any]:
    """Return a table with ratios by lot: those of random matrices say nothing."""
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
    """Return the multiplications and additions that training on documents of `context` needs.

    A matrix takes 2 per entry forward, 2 for the gradient of its input, 2 for its own where it
    trains; attention sees half of its square, and its backward pass takes twice the forward's.
    """
    total = 0
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            total += module.weight.numel() * (6 if module.weight.requires_grad else 4)
    config = network.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = size * config.num_attention_heads
    return total + 3 * 2 * context * width * config.num_hidden_layers


def build(config: dict[str, Any], dtype: torch.dtype, device: str = "") -> PreTrainedModel:
    """Return a model of random weights, built where it will be trained unless `device` is given."""
    kind = config["model_type"]
    options = {key: value for key, value in config.items() if key != "model_type"}
    theta = options.pop("rope_theta")
    options["rope_parameters"] = {"rope_type": "default", "rope_theta": theta}
    settings = AutoConfig.for_model(kind, **options, bos_token_id=None, eos_token_id=None)
    torch.manual_seed(0)
    with torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")):
        return AutoModelForCausalLM.from_config(settings, dtype=dtype)


def matmul_rate(size: int, rounds: int = 30) -> float:
    """Return operations a second of a product of bf16 squares, the best of three tries."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.randn(size, size, device=device).bfloat16() for _ in range(2))
    rounds, best = (rounds if device == "cuda" else 2), float("inf")
    for _ in range(4):  # the first warms up
        _wait()
        started = time.perf_counter()
        for _ in range(rounds):
            left @ right
        _wait()
        best = min(best, time.perf_counter() - started)
    return rounds * 2 * size**3 / best


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _card() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    return "No GPU, in miniature"


PARTS = {
    "trl": ("Training against TRL on a GPU, 0.5 B parameters", against_trl),
    "spectrum": ("Spectrum of an 8 B model on one GPU", spectrum),
}


def main(arguments: list[str]) -> None:
    """Measure the parts that are named, or both."""
    if arguments[:1] == ["one"]:
        plan = SpectrumPlan(**json.loads(Path(arguments[1]).read_text(encoding="utf-8")))
        print(json.dumps(train_spectrum(plan)))
        return
    tiny = "--tiny" in arguments
    if not tiny and not torch.cuda.is_available():
        print("no CUDA device here: nothing measured (--tiny runs the same code on a CPU)")
        return
    WORK.mkdir(parents=True, exist_ok=True)
    for name in [name for name in arguments if name != "--tiny"] or list(PARTS):
        title, part = PARTS[name]
        body = part(tiny=tiny)
        if tiny:
            print(body)
        else:
            command = f"python benchmarks/training_gpu.py {name}"
            write_section(title, command, body, packages=("trl", "flash_attn", "liger_kernel"))


if __name__ == "__main__":
    main(sys.argv[1:])
