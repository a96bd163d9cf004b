"""What one measured training run is to do, and what it did: see training.py."""

from __future__ import annotations

import dataclasses
import time

from training_data import Chat

BETA = 0.1


@dataclasses.dataclass(kw_only=True)
class Plan:
    """One run: who trains what, and how."""

    side: str
    """storm, trl, or plain: a loop without a trainer."""
    objective: str
    """sft or dpo."""
    model: str
    rows: int
    held_out: int
    precision: str
    """bfloat16_mixed or float32."""
    sampling: str = "random"
    """trl: random, or group_by_length (batches of like length, so that little is padded)."""
    packed: int = 0
    """trl: tokens of a packed row; 0 packs nothing. plain: whether rows are packed, as ours."""
    accumulation: int = 1
    """trl: forward passes in a step."""
    batch: int = 16
    """trl, plain: chats or pairs in a forward pass, packed rows where they are packed."""
    sequence_length: int = 1024
    batch_rows: int = 2
    """storm, plain: packed rows in a step."""
    epochs: float = 1.0
    learning_rate: float = 1e-3
    threads: int = 2
    seed: int = 0
    """Decides the order of the rows."""
    attention: str = "sdpa"
    """trl, plain: the implementation of attention that the model is loaded with."""
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


def turns(chat: Chat) -> dict[str, list[dict[str, str]]]:
    """Return prompt, chosen and rejected as messages."""
    return {
        "prompt": [{"role": "user", "content": chat.question}],
        "chosen": [{"role": "assistant", "content": chat.answer}],
        "rejected": [{"role": "assistant", "content": chat.wrong}],
    }
