"""The interface of training objectives, and next-token prediction."""

from __future__ import annotations

import numpy as np
import torch
from transformers import PreTrainedModel

from storm_training.data.packing import IGNORE_INDEX, PackedBatch
from storm_training.losses import Head, cross_entropy


class Objective:
    """A loss summed over terms; the trainer divides it by the terms of the whole optimiser step.

    Terms are supervised tokens, unless a subclass overrides `counts` and `count`.
    """

    name = ""
    """The objective's name in training.json."""
    counts = "supervised tokens"
    """What the terms are, in words."""

    def loss(self, model: PreTrainedModel, batch: PackedBatch) -> torch.Tensor:
        """Return the loss summed over the terms of the batch, an fp32 scalar."""
        raise NotImplementedError

    def count(self, batch: PackedBatch) -> int:
        """Return the number of terms in the loss of this batch."""
        return batch.targets

    def prepare(self, train: np.ndarray, held_out: np.ndarray | None) -> None:
        """Take the indices, in the token set's splits, of the examples that are used.

        `PackedBatch.examples` counts in the order of these indices. Called once, before training.
        """

    def to(self, device: torch.device) -> None:
        """Move the tensors that the objective holds besides the model, such as a teacher."""

    def figures(self) -> dict[str, tuple[float, float]]:
        """Return {figure: (sum, count)} of further figures of the passes since the last call."""
        return {}


class NextToken(Objective):
    """Cross-entropy of the next token: pretraining and supervised fine-tuning."""

    def __init__(self, name: str = "sft") -> None:
        """`name` is the objective's name in training.json."""
        self.name = name

    def loss(self, model: PreTrainedModel, batch: PackedBatch) -> torch.Tensor:
        """Return `next_token_loss`."""
        return next_token_loss(model, batch)


def supervised_positions(batch: PackedBatch) -> torch.Tensor:
    """Return the indices [n] of the supervised positions in the flattened batch."""
    return torch.nonzero(batch.labels.flatten() != IGNORE_INDEX).squeeze(1)


def supervised_states(
    model: PreTrainedModel, batch: PackedBatch
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the last hidden states [n, hidden] and the labels [n] of supervised positions."""
    hidden = model.get_decoder()(
        input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False
    ).last_hidden_state
    positions = supervised_positions(batch)
    labels = batch.labels.flatten().index_select(0, positions)
    return hidden.flatten(0, 1).index_select(0, positions), labels


def next_token_loss(model: PreTrainedModel, batch: PackedBatch) -> torch.Tensor:
    """Return the cross-entropy of the next token, summed over supervised positions."""
    hidden, labels = supervised_states(model, batch)
    return cross_entropy(hidden, Head.of(model), labels)
