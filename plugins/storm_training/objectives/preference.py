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
    """-log σ(β · (log-ratio of chosen to rejected under the model, minus that of the reference)).

    Summed over pairs. The reference's log-probabilities were computed before, so that no second
    model is in memory.
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
        """Take log p(chosen) and log p(rejected) under the reference, fp32 [pairs, 2].

        `reference` is of the training split, `held_out` of the validation split. `smoothing` is the
        probability that a label is wrong (conservative DPO), `sft_weight` the weight of the chosen
        answer's mean cross-entropy (RPO).
        """
        self._references = {True: reference, False: held_out}
        self._beta, self._smoothing, self._sft_weight = beta, smoothing, sft_weight
        self._sums = torch.zeros(3, dtype=torch.float64)

    def prepare(self, train: np.ndarray, held_out: np.ndarray | None) -> None:
        """Select the reference's scores of the pairs that are used."""
        train_scores, held_out_scores = self._references[True], self._references[False]
        assert train_scores is not None
        self._references[True] = train_scores[torch.from_numpy(train)]
        if held_out is not None and held_out_scores is not None:
            self._references[False] = held_out_scores[torch.from_numpy(held_out)]

    def to(self, device: torch.device) -> None:
        """Move the reference's scores to `device`."""
        self._references = {
            split: scores if scores is None else scores.to(device)
            for split, scores in self._references.items()
        }

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
        rewards = (pairs - reference[batch.examples]) * self._beta
        margin = rewards[:, 0] - rewards[:, 1]
        as_labelled, swapped = functional.logsigmoid(margin), functional.logsigmoid(-margin)
        losses = -(1 - self._smoothing) * as_labelled - self._smoothing * swapped
        if self._sft_weight:
            losses = losses - self._sft_weight * pairs[:, 0] / lengths.view(-1, 2)[:, 0]
        if model.training:
            with torch.no_grad():
                correct = (margin > 0).sum()
                self._sums += torch.tensor([float(correct), float(margin.sum()), len(margin)])
        return losses.sum()

    def figures(self) -> dict[str, tuple[float, float]]:
        """Return accuracy (share of pairs with a positive margin) and margin, as (sum, pairs)."""
        correct, margin, count = self._sums.tolist()
        self._sums.zero_()
        return {"accuracy": (correct, count), "margin": (margin, count)}


def per_segment(scores: torch.Tensor, batch: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sum of `scores` and the number of scored tokens of every segment of a batch.

    `scores` [n] are those of the supervised positions; both results are fp32 [segments].
    """
    segments = batch.segment_ids.flatten().index_select(0, supervised_positions(batch))
    count = int(batch.segment_ids.max()) + 1
    sums = scores.new_zeros(count).index_add(0, segments, scores)
    lengths = scores.new_zeros(count).index_add(0, segments, torch.ones_like(scores))
    return sums, lengths
