"""What is minimised: a sum over supervised tokens, and how many there are."""

from __future__ import annotations

import numpy as np
import torch
from transformers import PreTrainedModel

from storm_training.data.packing import IGNORE_INDEX, PackedBatch
from storm_training.losses import Head, cross_entropy


class Objective:
    """A loss that is summed over what it counts; the trainer divides by the optimiser step's sum.

    Subclasses say what is summed.
    """

    name = ""
    """Its name in records."""
    counts = "supervised tokens"
    """What is counted, in words."""

    def loss(self, model: PreTrainedModel, batch: PackedBatch) -> torch.Tensor:
        """Return the loss summed over what the batch counts, an fp32 scalar."""
        raise NotImplementedError

    def count(self, batch: PackedBatch) -> int:
        """Return how many terms the loss of this batch sums; supervised tokens by default."""
        return batch.targets

    def prepare(self, train: np.ndarray, held_out: np.ndarray | None) -> None:
        """Hear which examples of the token set's splits are used, by their indices, in order.

        A batch names its examples by their place in that order.
        """

    def to(self, device: torch.device) -> None:
        """Move what the objective holds besides the model, such as a teacher."""

    def figures(self) -> dict[str, tuple[float, float]]:
        """Return (sum, count) of further figures of the training passes since the last call."""
        return {}


class NextToken(Objective):
    """Cross-entropy of the next token: pretraining and supervised fine-tuning."""

    def __init__(self, name: str = "sft") -> None:
        """`name` is what the record calls it."""
        self.name = name

    def loss(self, model: PreTrainedModel, batch: PackedBatch) -> torch.Tensor:
        """Return `next_token_loss`."""
        return next_token_loss(model, batch)


def supervised_positions(batch: PackedBatch) -> torch.Tensor:
    """Return the places [n] of the supervised positions in a batch that is laid out flat."""
    return torch.nonzero(batch.labels.flatten() != IGNORE_INDEX).squeeze(1)


def supervised_states(
    model: PreTrainedModel, batch: PackedBatch
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the last hidden states [n, hidden] and the labels [n] of supervised positions."""
    hidden = model.get_decoder()(
        input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False
    ).last_hidden_state
    chosen = supervised_positions(batch)
    labels = batch.labels.flatten().index_select(0, chosen)
    return hidden.flatten(0, 1).index_select(0, chosen), labels


def next_token_loss(model: PreTrainedModel, batch: PackedBatch) -> torch.Tensor:
    """Return the cross-entropy of the next token, summed over supervised positions."""
    hidden, labels = supervised_states(model, batch)
    return cross_entropy(hidden, Head.of(model), labels)
