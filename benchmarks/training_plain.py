"""A plain loop of transformers and torch, without a trainer: see training.py."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from storm_training.data.packing import IGNORE_INDEX, build_batch
from storm_training.loop.loader import plan_run
from storm_training.optim.schedule import learning_rate
from training_data import Chat
from training_plan import Course, Plan
from training_tokens import make_token_set, training_settings

_NO_TARGET = torch.tensor([IGNORE_INDEX])
"""Of a row's last position."""

Batch = tuple[dict[str, torch.Tensor], torch.Tensor, int]
"""What the model is called with, the labels (already shifted), and the number of real tokens."""


def train_plainly(plan: Plan, rows: list[Chat], folder: Path) -> tuple[Any, Course]:
    """Train on the rows that our side packs (`packed`), or on chats at random, padded."""
    from transformers import AutoModelForCausalLM

    course = Course()
    sequences = make_token_set(plan, rows, folder).sequences("train")
    batches = list(_packed(plan, sequences) if plan.packed else _padded(plan, sequences))
    network = AutoModelForCausalLM.from_pretrained(
        plan.model, dtype=torch.float32, attn_implementation=plan.attention
    ).train()
    optimizer = torch.optim.AdamW(
        network.parameters(), plan.learning_rate, (0.9, 0.95), weight_decay=0.0, fused=True
    )
    settings = training_settings(plan)
    mixed = plan.precision == "bfloat16_mixed"
    for step, (inputs, labels, tokens) in enumerate(batches):
        rate = learning_rate(step, len(batches), settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16) if mixed else contextlib.nullcontext():
            logits = network(**inputs, use_cache=False).logits
        loss = functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        course.end_step()
        supervised = int((labels != IGNORE_INDEX).sum())
        course.tokens.append(tokens)
        course.positions.append(labels.numel())
        course.supervised.append(supervised)
        course.counted.append(supervised)
        course.losses.append(float(loss.detach()))
        course.rates.append(rate)
    return network, course


def _packed(plan: Plan, sequences: Any) -> Iterator[Batch]:
    steps = plan_run(sequences, training_settings(plan))
    for number in range(len(steps)):
        for rows in steps[number]:
            batch = build_batch(sequences, rows)
            inputs = {"input_ids": batch.input_ids, "position_ids": batch.position_ids}
            yield inputs, batch.labels, batch.tokens


def _padded(plan: Plan, sequences: Any) -> Iterator[Batch]:
    order = list(range(len(sequences)))
    random.Random(plan.seed).shuffle(order)
    for start in range(0, len(order), plan.batch):
        chosen = [sequences[index] for index in order[start : start + plan.batch]]
        ids = [torch.tensor(one.tolist()) for one, _ in chosen]
        marks = [torch.tensor(mask.tolist()) for _, mask in chosen]
        labels = [
            functional.pad(
                torch.where(mark.bool(), one, IGNORE_INDEX)[1:], (0, 1), value=IGNORE_INDEX
            )
            for one, mark in zip(ids, marks, strict=True)
        ]
        padded = pad_sequence(ids, batch_first=True)
        mask = pad_sequence([torch.ones_like(one) for one in ids], batch_first=True)
        shifted = pad_sequence(labels, batch_first=True, padding_value=IGNORE_INDEX)
        yield {"input_ids": padded, "attention_mask": mask}, shifted, int(mask.sum())
