"""Supervised fine-tuning of some of a checkpoint's tensors, from its files to new ones."""

from __future__ import annotations

import collections
import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from transformers import PreTrainedModel

from storm_data.dataset import Dataset
from storm_exp import InputError, Stage
from storm_models.checkpoint import Checkpoint, readable_count
from storm_training.chat_rows import ChatRows, read_chat_rows
from storm_training.chat_tokens import ChatTokenizer
from storm_training.finetuned_checkpoint import stored_names, write_checkpoint
from storm_training.settings import TrainingSettings
from storm_training.trainer import train
from storm_training.training_log import TrainingLog

Choice = Callable[[Iterable[str]], set[str]]
"""Takes the names of all parameters (ties once) and returns those that train."""


def finetune(
    stage: Stage,
    settings: TrainingSettings,
    model: Checkpoint,
    data: Dataset,
    *,
    objective: str,
    choose: Choice,
    ratios: dict[str, float] | None = None,
) -> Checkpoint:
    """Train what `choose` chooses on the train split, and write checkpoint and training.json.

    `objective` is the name that the record carries, `ratios` the SNR by tensor name for the
    table in it. Raises InputError when no row can be used, or `choose` raises.
    """
    tokenizer = ChatTokenizer(model.tokenizer())
    limit = _longest(settings, model)
    rows = read_chat_rows(data, "train", tokenizer, limit)
    _tell_rows(stage, data, rows)
    held_out: ChatRows | None = None
    if settings.validation_rows and data.count("validation"):
        held_out = read_chat_rows(data, "validation", tokenizer, limit, settings.validation_rows)
    network = model.load(dtype="float32")
    stored_names(model, network)
    trained = choose([name for name, _ in network.named_parameters()])
    table = _trainable_table(network, trained, ratios or {})
    stage.say(_describe(table))
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in trained)
    validation = held_out.sequences if held_out else None
    log = train(network, rows.sequences, settings, stage, validation=validation)
    result = write_checkpoint(model, network, trained, stage.directory)
    record = {
        "objective": objective,
        "precision": log.precision,
        "dtypes": sorted({dtype for dtype, _ in model.headers().values()}),
        "tokens_per_step": round(sum(entry["tokens"] for entry in log.steps) / len(log.steps)),
        "rows": _count(rows),
        "validation_rows": _count(held_out) if held_out else {"used": 0, "dropped": {}},
        "trainable": table,
        "validation": log.validation,
        "steps": log.steps,
    }
    (stage.directory / "training.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    _report(stage, log, table)
    return result


def _longest(settings: TrainingSettings, model: Checkpoint) -> int:
    positions = model.config().get("max_position_embeddings") or settings.sequence_length
    return min(settings.sequence_length, int(positions))


def _count(rows: ChatRows) -> dict[str, Any]:
    return {"used": rows.used, "dropped": rows.dropped}


def _tell_rows(stage: Stage, data: Dataset, rows: ChatRows) -> None:
    reasons = ", ".join(f"{count} {reason}" for reason, count in rows.dropped.items())
    if not rows.used:
        raise InputError(f"no row of {data.directory} can be trained on ({reasons or 'no rows'})")
    tokens = readable_count(len(rows.sequences.ids))
    supervised = readable_count(rows.sequences.targets())
    stage.say(
        f"{rows.used} rows, {tokens} tokens, {supervised} of them supervised"
        + (f"; dropped: {reasons}" if reasons else "")
    )


def _trainable_table(
    network: PreTrainedModel, trained: set[str], ratios: dict[str, float]
) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": list(parameter.shape),
            "parameters": math.prod(parameter.shape),
            "trained": name in trained,
            "snr": ratios.get(name),
        }
        for name, parameter in network.named_parameters()
    ]


def _describe(table: list[dict[str, Any]]) -> str:
    total = sum(row["parameters"] for row in table)
    chosen = sum(row["parameters"] for row in table if row["trained"])
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    for row in table:
        if row["name"].endswith(".weight"):
            kind = row["name"].removesuffix(".weight").rsplit(".", 1)[-1]
            counts[kind][0] += row["trained"]
            counts[kind][1] += 1
    kinds = ", ".join(f"{kind} {some}/{every}" for kind, (some, every) in counts.items() if some)
    return (
        f"trains {readable_count(chosen)} of {readable_count(total)} parameters "
        f"({chosen / total:.0%}): {kinds}"
    )


def _report(stage: Stage, log: TrainingLog, table: list[dict[str, Any]]) -> None:
    last = log.steps[-max(1, len(log.steps) // 10) :]
    supervised = sum(entry["supervised"] for entry in last)
    loss = sum(entry["loss"] * entry["supervised"] for entry in last) / supervised
    stage.metric("training_loss", loss, main=not log.validation)
    if log.validation:
        stage.metric("validation_loss", log.validation[-1]["loss"], main=True)
        stage.metric("validation_loss_before", log.validation[0]["loss"])
    stage.metric("steps", len(log.steps))
    stage.metric("trained_parameters", sum(r["parameters"] for r in table if r["trained"]))
