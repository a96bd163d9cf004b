"""TRL's side of the comparison: see training.py."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training_data import Chat
from training_plan import BETA, Course, Plan, turns


def train_with_trl(plan: Plan, rows: list[Chat], folder: Path) -> tuple[Any, Course]:
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

        def on_log(self, *_: Any, **given: Any) -> None:
            logs: dict[str, float] = given["logs"]
            if "loss" in logs:
                course.losses.append(logs["loss"])
                course.rates.append(logs["learning_rate"])

    class Timed(DPOTrainer):  # type: ignore[misc]  # TRL is not where types are checked
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
    mixed = plan.precision == "bfloat16_mixed"
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
        batch: dict[str, Any] = collate(examples)
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
