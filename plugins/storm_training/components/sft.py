"""Supervised fine-tuning."""

from __future__ import annotations

from storm_exp import component
from storm_training.components.next_token import NextTokenFinetuner
from storm_training.data.token_set import CHATS, DOCUMENTS


@component("finetuner", "sft", version=2)
class Sft(NextTokenFinetuner):
    """Supervised fine-tuning on every turn of the assistant.

    With trainable.method=spectrum it is Spectrum (Hartford et al. 2024), as in the preset
    `spectrum`; with lora or qlora, low-rank updates.
    """

    objective = "sft"
    kinds = (CHATS, DOCUMENTS)
    cut = False
