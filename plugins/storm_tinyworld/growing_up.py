"""Pretraining, from nothing to a checkpoint."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from storm_exp import Stage
from storm_models.checkpoint import Checkpoint
from storm_tinyworld.pretraining import pretraining_chats
from storm_tinyworld.tokenizer import build_tokenizer
from storm_training.chat_tokens import ChatTokenizer, ChatTokens
from storm_training.token_sequences import TokenSequences
from storm_training.trainer import train

if TYPE_CHECKING:
    from storm_tinyworld.base_model import Tinyworld

_AT_ONCE = 1024


def grow_up(settings: Tinyworld, stage: Stage) -> Checkpoint:
    """Write text, train a model of random weights on it, and save it with its tokenizer.

    As in instruction tuning, only what the assistant says is learnt: the questions are random
    and hold nothing to learn.
    """
    tokenizer = build_tokenizer(settings.architecture.positions)
    sequences = TokenSequences.collect(_texts(settings, ChatTokenizer(tokenizer)))
    config = LlamaConfig(**settings.architecture.config())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = LlamaForCausalLM(config)
    stage.say(f"{len(sequences)} texts, {len(sequences.ids) / 1e6:.1f} M tokens")
    log = train(model, sequences, settings, stage)
    model.save_pretrained(stage.directory)
    tokenizer.save_pretrained(stage.directory)
    parameters = [
        {"name": n, "shape": list(p.shape), "parameters": p.numel(), "trained": True, "snr": None}
        for n, p in model.named_parameters()
    ]
    record = {
        "objective": "pretraining",
        "precision": log.precision,
        "dtypes": ["F32"],
        "tokens_per_step": round(sum(entry["tokens"] for entry in log.steps) / len(log.steps)),
        "rows": {"used": len(sequences), "dropped": {}},
        "validation_rows": {"used": 0, "dropped": {}},
        "trainable": parameters,
        "validation": log.validation,
        "steps": log.steps,
    }
    (stage.directory / "training.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    last = log.steps[-max(1, len(log.steps) // 10) :]
    stage.metric("training_loss", sum(e["loss"] for e in last) / len(last), main=True)
    return Checkpoint(stage.directory)


def _texts(settings: Tinyworld, tokenizer: ChatTokenizer) -> Iterator[tuple[list[int], list[bool]]]:
    """Yield tokenised texts until there are enough for every step."""
    wanted = settings.steps * settings.accumulation * settings.batch_rows * settings.sequence_length
    stream = pretraining_chats(settings.seed, settings.mixture)
    written = 0
    while written < wanted:
        for text in tokenizer.encode(list(itertools.islice(stream, _AT_ONCE))):
            assert isinstance(text, ChatTokens)
            if len(text.ids) <= settings.sequence_length:
                written += len(text.ids)
                yield text.ids, text.supervised
