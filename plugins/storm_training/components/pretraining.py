"""Pretraining on whole documents, from random weights or from a checkpoint."""

from __future__ import annotations

from storm_exp import component
from storm_training.components.next_token import NextTokenFinetuner
from storm_training.data.token_set import CHATS, DOCUMENTS


@component("finetuner", "pretraining", version=1)
class Pretraining(NextTokenFinetuner):
    """Predicts every token of documents, cut into chunks of at most `sequence_length` tokens.

    Continued pretraining starts from a checkpoint, pretraining from the preset of a new model.
    """

    objective = "pretraining"
    kinds = (DOCUMENTS, CHATS)
    cut = True
