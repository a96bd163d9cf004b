"""Direct preference optimisation (Rafailov et al. 2023)."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from storm_training.data.packing import PackedBatch
from storm_training.losses import Head, log_probabilities
from storm_training.objectives.objective import Objective, supervised_positions, supervised_states


class Preference(Objective):
    """-log σ(β · (how much more the model than the reference prefers chosen to rejected)).

    Summed over pairs. `reference` holds log p(chosen) and log p(rejected) of every pair under the
    reference, so that no second model is in memory.
    """

    name = "dpo"
    counts = "pairs"

    def __init__(
        self,
        reference: torch.Tensor,
        held_out: torch.Tensor | None,
        *,
        beta: float,
        smoothing: float = 0.0,
        sft_weight: float = 0.0,
    ) -> None:
        """`reference` is fp32 [pairs, 2] for the training split, `held_out` for the validation's.

        `smoothing` is the probability that a label is wrong (conservative DPO), `sft_weight` the
        weight of the chosen answer's mean cross-entropy beside the loss (RPO).
        """
        self._references = {True: reference, False: held_out}
        self._beta, self._smoothing, self._sft_weight = beta, smoothing, sft_weight
        self._sums = torch.zeros(3, dtype=torch.float64)

    def prepare(self, train: np.ndarray, held_out: np.ndarray | None) -> None:
        """Keep the reference's scores of the pairs that are used."""
        whole = self._references[True]
        assert whole is not None
        self._references[True] = whole[torch.from_numpy(train)]
        scores = self._references[False]
        if held_out is not None and scores is not None:
            self._references[False] = scores[torch.from_numpy(held_out)]

    def to(self, device: torch.device) -> None:
        """Move the reference's scores."""
        held = self._references.items()
        self._references = {split: s if s is None else s.to(device) for split, s in held}

    def count(self, batch: PackedBatch) -> int:
        """Return the number of pairs."""
        return len(batch.examples)

    def loss(self, model: PreTrainedModel, batch: PackedBatch) -> torch.Tensor:
        """Return the loss summed over the pairs of a batch."""
        hidden, labels = supervised_states(model, batch)
        scores = log_probabilities(hidden, Head.of(model), labels)
        answers, lengths = per_segment(scores, batch)
        pairs = answers.view(-1, 2)
        reference = self._references[model.training]
        assert reference is not None
        wanted = reference[batch.examples]
        gain = (pairs - wanted) * self._beta
        margin = gain[:, 0] - gain[:, 1]
        kept, swapped = functional.logsigmoid(margin), functional.logsigmoid(-margin)
        losses = -(1 - self._smoothing) * kept - self._smoothing * swapped
        if self._sft_weight:
            losses = losses - self._sft_weight * pairs[:, 0] / lengths.view(-1, 2)[:, 0]
        if model.training:
            with torch.no_grad():
                right = (margin > 0).sum()
                self._sums += torch.tensor([float(right), float(margin.sum()), len(margin)])
        return losses.sum()

    def figures(self) -> dict[str, tuple[float, float]]:
        """Return how often chosen beats rejected, and by how much, with the number of pairs."""
        right, margin, count = self._sums.tolist()
        self._sums.zero_()
        return {"accuracy": (right, count), "margin": (margin, count)}


def per_segment(scores: torch.Tensor, batch: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Σ scores and the number of scored tokens of every segment of a batch, in order.

    `scores` are those of the supervised positions.
    """
    segments = batch.segment_ids.flatten().index_select(0, supervised_positions(batch))
    count = int(batch.segment_ids.max()) + 1
    sums = scores.new_zeros(count).index_add(0, segments, scores)
    lengths = scores.new_zeros(count).index_add(0, segments, torch.ones_like(scores))
    return sums, lengths
