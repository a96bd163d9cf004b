"""Small settings, chats and token sequences for tests of components that train."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from storm_data.dataset import Dataset
from storm_data.rows.arrow_schema import chat_schema
from storm_exp import StageContext
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_training.data.chat_tokens import ChatTokenSet
from storm_training.data.token_sequences import TokenSequences
from storm_training.data.token_set import TokenSet
from storm_training.optim.interim import InterimSettings


def small_settings(**changes: Any) -> InterimSettings:
    """Return settings of four short fp32 steps, with `changes`."""
    defaults: dict[str, Any] = {
        "steps": 4,
        "sequence_length": 96,
        "batch_size": 2,
        "learning_rate": 1e-2,
        "precision": "float32",
        "seed": 0,
    }
    return InterimSettings(**{**defaults, **changes})


def make_chats(folder: Path, rows: int = 40, validation: int = 8) -> Dataset:
    """Write a data set of chats in which the assistant repeats a word, and return it."""
    draw = random.Random(7)
    folder.mkdir(parents=True)
    data = Dataset(folder)
    for split, count in (("train", rows), ("validation", validation)):
        words = ["".join(draw.choices("abc", k=draw.randint(2, 9))) for _ in range(count)]
        chats = [
            {
                "id": f"{split}{number}",
                "messages": [
                    {"role": "user", "content": f"say {word}"},
                    {"role": "assistant", "content": word},
                ],
                "source": "test",
            }
            for number, word in enumerate(words)
        ]
        data.write(split, chats, chat_schema())
    return data


def tokenise_chats(folder: Path, model: Checkpoint, data: Dataset) -> TokenSet:
    """Tokenise a data set of chats into `folder`, and return the token set."""
    folder.mkdir(parents=True)
    return ChatTokenSet().run(StageContext("tokens", folder, folder), model, data)


def newest_checkpoint(stage: StageContext) -> Path:
    """Return the checkpoint from which a run of this stage would resume."""
    return max(stage.scratch.glob("training-*.ckpt"))


def ragged_sequences(count: int = 60, longest: int = 60) -> TokenSequences:
    """Return sequences of 3 to `longest` - 1 tokens below 40, half of them supervised."""
    draw = np.random.default_rng(5)
    return TokenSequences.collect(
        ((np.arange(length) * 3 + draw.integers(9)) % 40, draw.random(length) < 0.5)
        for length in draw.integers(3, longest, count)
    )
