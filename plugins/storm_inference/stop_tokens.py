"""The stop tokens of answers."""

from __future__ import annotations

from storm_models.chat.stops import read_stops
from storm_models.checkpoint.checkpoint import Checkpoint


def answer_stops(model: Checkpoint) -> list[int]:
    """Return the stop tokens of a model's files and chat template, and its tokenizer's EOS."""
    ends = model.chat().ends if model.has_chat_template() else []
    end = model.tokenizer().eos_token_id
    return sorted({*read_stops(model.directory), *ends, *([end] if end is not None else [])})
