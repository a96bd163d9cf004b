"""One measured training run of one side, in a process of its own: see training.py.

python benchmarks/training_side.py PLAN.json    prints a line of JSON
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from training_data import Chat, chats

BETA = 0.1


@dataclasses.dataclass(kw_only=True)
class Plan:
    """One run: who trains what, and how."""

    side: str
    """storm or trl."""
    objective: str
    """sft or dpo."""
    model: str
    rows: int
    held_out: int
    precision: str
    """bf16-mixed or 32."""
    sampling: str = "random"
    """trl: random, or group_by_length (batches of like length, so that little is padded)."""
    packed: int = 0
    """trl: tokens of a packed row; 0 packs nothing."""
    accumulation: int = 1
    """trl: forward passes in a step."""
    batch: int = 16
    """trl: chats or pairs in a forward pass, packed rows where they are packed."""
    sequence_length: int = 1024
    batch_rows: int = 2
    """storm: packed rows in a step."""
    epochs: float = 1.0
    learning_rate: float = 1e-3
    threads: int = 2
    seed: int = 0
    """Decides the order of the rows."""
    attention: str = "sdpa"
    """trl: the implementation of attention that it loads the model with."""
    compile: bool = False
    """Whether the model's layers (storm) or the model (trl) are compiled."""
    liger: bool = False
    """trl: fused kernels."""
    score: bool = True
    """Whether the trained model is scored on what it has not seen."""


@dataclasses.dataclass
class Course:
    """What a run did, step by step."""

    ends: list[float] = dataclasses.field(default_factory=list)
    """When each step ended."""
    processor: list[float] = dataclasses.field(default_factory=list)
    """Processor seconds of all threads until then."""
    tokens: list[int] = dataclasses.field(default_factory=list)
    """Real tokens of each step."""
    positions: list[int] = dataclasses.field(default_factory=list)
    """Positions that were computed, padding included."""
    supervised: list[int] = dataclasses.field(default_factory=list)
    counted: list[int] = dataclasses.field(default_factory=list)
    """What the loss of each step is a mean over: supervised tokens, or pairs."""
    losses: list[float] = dataclasses.field(default_factory=list)
    rates: list[float] = dataclasses.field(default_factory=list)
    reference_seconds: float = 0.0

    def end_step(self) -> None:
        """Note the time."""
        self.ends.append(time.perf_counter())
        self.processor.append(time.process_time())


def main(file: str) -> None:
    """Run a plan and print what it measured."""
    plan = Plan(**json.loads(Path(file).read_text(encoding="utf-8")))
    torch.set_num_threads(plan.threads)
    rows = chats(plan.rows + plan.held_out)
    train, held_out = rows[: plan.rows], rows[plan.rows :]
    imported = _peak()
    with tempfile.TemporaryDirectory() as folder:
        run = {"storm": _storm, "trl": _trl}[plan.side]
        network, course = run(plan, train, Path(folder))
    peak = _peak()
    # From the end of the first step to the end of the last: warm-up is no side's fault.
    seconds = course.ends[-1] - course.ends[0]
    tokens = sum(course.tokens[1:])
    figures = dataclasses.asdict(course) | {
        "seconds": seconds,
        "tokens_per_second": tokens / seconds,
        "tokens_per_processor_second": tokens / (course.processor[-1] - course.processor[0]),
        "filled": sum(course.tokens) / sum(course.positions),
        "peak_bytes": peak,
        "peak_device_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
        "imported_bytes": imported,
        "held_out": _held_out(plan, network, held_out) if plan.score else None,
    }
    print(json.dumps(figures))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# Ours


def _storm(plan: Plan, rows: list[Chat], folder: Path) -> tuple[Any, Course]:
    from storm_data.dataset import Dataset, chat_schema, preference_schema
    from storm_exp.stage import Runtime, Stage
    from storm_models.checkpoint import Checkpoint
    from storm_training.chat_token_set import ChatTokenSet
    from storm_training.objective import NextToken
    from storm_training.packing import build_batch, plan_steps
    from storm_training.preference import Preference
    from storm_training.preference_token_set import PreferenceTokenSet
    from storm_training.scoring import score_pairs
    from storm_training.settings import TrainingSettings
    from storm_training.trainer import train

    course = Course()

    class Watched:
        """Notes when each step ended: figures are asked for after the optimiser's step."""

        def figures(self) -> dict[str, tuple[float, float]]:
            course.end_step()
            return super().figures()

    class WatchedNextToken(Watched, NextToken):
        pass

    class WatchedPreference(Watched, Preference):
        pass

    def stage(name: str) -> Stage:
        for part in (name, f"{name}-scratch"):
            (folder / part).mkdir()
        runtime = Runtime(threads=plan.threads)
        return Stage(name, folder / name, folder / f"{name}-scratch", runtime)

    data = Dataset(folder / "data")
    data.directory.mkdir()
    checkpoint = Checkpoint(Path(plan.model))
    settings = TrainingSettings(
        epochs=plan.epochs,
        sequence_length=plan.sequence_length,
        batch_rows=plan.batch_rows,
        learning_rate=plan.learning_rate,
        precision=plan.precision,
        compile=plan.compile,
        validation_rows=0,
        checkpoint_every=0,
        loggers=["csv"],
        seed=plan.seed,
    )
    told = [turns(row) | {"id": str(number), "source": ""} for number, row in enumerate(rows)]
    if plan.objective == "sft":
        messages = [{**row, "messages": row["prompt"] + row["chosen"]} for row in told]
        data.write("train", messages, chat_schema())
        component: Any = ChatTokenSet()
    else:
        data.write("train", told, preference_schema())
        component = PreferenceTokenSet()
    tokens = component.run(stage("tokens"), checkpoint, data)
    sequences = tokens.sequences("train")
    objective: Any = WatchedNextToken()
    if plan.objective == "dpo":
        started = time.perf_counter()
        reference = score_pairs(
            stage("reference"),
            checkpoint,
            sequences,
            length=plan.sequence_length,
            rows=plan.batch_rows,
            precision=plan.precision,
        )
        course.reference_seconds = time.perf_counter() - started
        objective = WatchedPreference(reference, None, beta=BETA)
        objective.prepare(np.arange(len(sequences)), None)
    network = checkpoint.load("float32")
    log = train(network, sequences, settings, stage("train"), objective=objective)
    for step, entry in zip(plan_steps(sequences, settings), log.steps, strict=True):
        batches = [build_batch(sequences, packed) for packed in step]
        course.positions.append(sum(batch.ids.numel() for batch in batches))
        course.supervised.append(sum(batch.targets for batch in batches))
        course.tokens.append(entry["tokens"])
        course.counted.append(entry["supervised"])
        course.losses.append(entry["loss"])
        course.rates.append(entry["learning_rate"])
    return network, course


# TRL


def _trl(plan: Plan, rows: list[Chat], folder: Path) -> tuple[Any, Course]:
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder), "TQDM_DISABLE": "1"}
    import datasets
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    logging.disable(logging.WARNING)
    datasets.disable_progress_bars()
    course = Course()

    class Watch(TrainerCallback):
        """Notes when each step ended, and its loss."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            course.end_step()

        def on_log(self, _: Any, __: Any, ___: Any, logs: dict[str, float], **____: Any) -> None:
            if "loss" in logs:
                course.losses.append(logs["loss"])
                course.rates.append(logs["learning_rate"])

    class Timed(DPOTrainer):
        """Times the reference's log-probabilities."""

        def _precompute_ref_logps(self, *arguments: Any) -> datasets.Dataset:
            started = time.perf_counter()
            found = super()._precompute_ref_logps(*arguments)
            course.reference_seconds += time.perf_counter() - started
            return found

    tokenizer = AutoTokenizer.from_pretrained(plan.model)
    told = [turns(row) for row in rows]
    lengths = [_length(tokenizer, row, plan.objective) for row in told]
    if plan.objective == "sft":
        told = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in told]
    data = datasets.Dataset.from_list(
        [{**row, "length": length} for row, length in zip(told, lengths, strict=True)]
    )
    network = AutoModelForCausalLM.from_pretrained(
        plan.model, dtype=torch.float32, attn_implementation=plan.attention
    )
    mixed = plan.precision == "bf16-mixed"
    options: dict[str, Any] = {
        "output_dir": str(folder / "out"),
        "per_device_train_batch_size": plan.batch,
        "gradient_accumulation_steps": plan.accumulation,
        "num_train_epochs": plan.epochs,
        "learning_rate": plan.learning_rate,
        "lr_scheduler_type": "cosine_warmup_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
        "warmup_steps": 0.03,
        "optim": "adamw_torch_fused",
        "adam_beta1": 0.9,
        "adam_beta2": 0.95,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "bf16": mixed,
        "fp16": False,
        "gradient_checkpointing": False,
        "max_length": plan.sequence_length,
        "train_sampling_strategy": plan.sampling,
        "length_column_name": "length",
        "remove_unused_columns": bool(plan.packed),  # or the sampler does not see the lengths
        "logging_steps": 1,
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "use_cpu": not torch.cuda.is_available(),
        "torch_compile": plan.compile,
        "use_liger_kernel": plan.liger,
        "seed": plan.seed,
    }
    if plan.packed:
        options |= {"packing": True, "packing_strategy": "bfd", "max_length": plan.packed}
    trainer: Any
    if plan.objective == "sft":
        trainer = SFTTrainer(
            network,
            SFTConfig(**options),
            train_dataset=data,
            processing_class=tokenizer,
            callbacks=[Watch()],
        )
    else:
        trainer = Timed(
            network,
            args=DPOConfig(
                **options,
                beta=BETA,
                precompute_ref_log_probs=True,
                precompute_ref_batch_size=plan.batch,
            ),
            train_dataset=data,
            processing_class=tokenizer,
            callbacks=[Watch()],
        )
    collate, counts, pairs = trainer.data_collator, [], plan.objective == "dpo"

    def counted(examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = collate(examples)
        positions = batch["input_ids"].numel()
        tokens = int(batch["attention_mask"].sum()) if "attention_mask" in batch else positions
        marks = batch["labels"] != -100 if "labels" in batch else batch["completion_mask"]
        supervised = int(marks[:, 1:].sum())
        counts.append((tokens, positions, supervised, len(marks) // 2 if pairs else supervised))
        return batch

    trainer.data_collator = counted
    trainer.train()
    if plan.packed:
        _require_isolation(trainer, collate, next(iter(trainer.train_dataset)))
    for first in range(0, len(counts), plan.accumulation):
        step = np.sum(counts[first : first + plan.accumulation], axis=0).tolist()
        course.tokens.append(step[0])
        course.positions.append(step[1])
        course.supervised.append(step[2])
        course.counted.append(step[3])
    network = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    network.forward = type(network).forward.__get__(network)
    return network, course


def _require_isolation(trainer: Any, collate: Any, row: dict[str, Any]) -> None:
    """Fail when the last document of a packed row sees the ones before it."""
    ids, last = row["input_ids"], row["seq_lengths"][-1]
    assert len(row["seq_lengths"]) > 1
    other = {**row, "input_ids": ids[-last - 1 :: -1] + ids[-last:]}
    states = []
    for one in (row, other):
        batch = trainer._prepare_inputs(collate([one]))
        batch.pop("labels")
        with torch.no_grad(), trainer.accelerator.autocast():
            decoder = trainer.accelerator.unwrap_model(trainer.model).get_decoder()
            states.append(decoder(**batch, use_cache=False).last_hidden_state[:, -last:].float())
    difference = float((states[0] - states[1]).abs().max() / states[0].abs().max())
    assert difference < 1e-3, f"documents of a packed row see each other ({difference:.2g})"


def _length(tokenizer: Any, row: dict[str, Any], objective: str) -> int:
    """Return the tokens of a chat, or of the longer answer of a pair: what it is padded by."""
    sides = ("chosen",) if objective == "sft" else ("chosen", "rejected")
    ids = (
        tokenizer.apply_chat_template(row["prompt"] + row[side], return_dict=False)
        for side in sides
    )
    return max(len(found) for found in ids)


# Both


def turns(chat: Chat) -> dict[str, list[dict[str, str]]]:
    """Return prompt, chosen and rejected as messages."""
    return {
        "prompt": [{"role": "user", "content": chat.question}],
        "chosen": [{"role": "assistant", "content": chat.answer}],
        "rejected": [{"role": "assistant", "content": chat.wrong}],
    }


@torch.no_grad()
def _held_out(plan: Plan, network: Any, rows: list[Chat]) -> float:
    """Return the loss on unseen rows, by transformers in fp32, one row at a time.

    Per supervised token for sft, per pair for dpo.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(plan.model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.float().eval().to(device)
    told = [turns(row) for row in rows]
    if plan.objective == "sft":
        found = [_answer(network, tokenizer, row, "chosen") for row in told]
        return -sum(value for value, _ in found) / sum(count for _, count in found)
    first = AutoModelForCausalLM.from_pretrained(plan.model, dtype=torch.float32).eval()
    first = first.to(device)
    losses = []
    for row in told:
        gains = [
            _answer(network, tokenizer, row, side)[0] - _answer(first, tokenizer, row, side)[0]
            for side in ("chosen", "rejected")
        ]
        losses.append(-functional.logsigmoid(torch.tensor(BETA * (gains[0] - gains[1]))))
    return float(torch.stack(losses).mean())


def _answer(network: Any, tokenizer: Any, row: dict[str, Any], side: str) -> tuple[float, int]:
    """Return log p(answer | prompt) and the answer's tokens."""
    prompt = tokenizer.apply_chat_template(
        row["prompt"], add_generation_prompt=True, return_dict=False
    )
    ids = tokenizer.apply_chat_template(row["prompt"] + row[side], return_dict=False)
    assert ids[: len(prompt)] == prompt
    whole = torch.tensor(ids, device=network.device)
    scores = network(input_ids=whole[None]).logits[0, :-1].log_softmax(1)
    picked = scores.gather(1, whole[1:, None]).squeeze(1)[len(prompt) - 1 :]
    return float(picked.sum()), len(picked)


if __name__ == "__main__":
    main(sys.argv[1])
