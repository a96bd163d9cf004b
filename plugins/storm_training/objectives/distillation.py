"""Distillation from a teacher's whole distribution and hidden states, or from its top k tokens."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from storm_training.data.packing import PackedBatch
from storm_training.data.top_k_logits import StoredAnswers
from storm_training.losses import Head, TopK, divergence, top_k_divergence
from storm_training.objectives.objective import Objective, supervised_positions, supervised_states
from storm_training.objectives.teacher_control import TeacherControl


class DistillationObjective(Objective):
    """Forward KL, KL(teacher ‖ student), at supervised positions, with the teacher in the loop.

    The teacher is frozen. Optional further terms are cross-entropy, and 1 - cosine between hidden
    states of the student's and the teacher's layers, averaged over the pairs of layers.
    """

    name = "distillation"

    def __init__(
        self,
        teacher: PreTrainedModel,
        *,
        temperature: float,
        kl_weight: float,
        ce_weight: float,
        hidden_weight: float = 0.0,
        layers: Mapping[int, int] | None = None,
        control: TeacherControl = TeacherControl.none,
    ) -> None:
        """`layers` maps layers of the student (counted from 0) to those of the teacher.

        `control` shuffles the teacher's outputs in training passes, with torch's default generator,
        which training seeds anew in every step.
        """
        self._teacher = teacher.requires_grad_(False).eval()
        self._weights = (temperature, kl_weight, ce_weight)
        self._hidden_weight, self._layers = hidden_weight, dict(layers or {})
        self._sums = torch.zeros(4, dtype=torch.float64)
        self._control = control

    def to(self, device: torch.device) -> None:
        """Move the teacher to `device`."""
        self._teacher.to(device)

    def loss(self, model: PreTrainedModel, batch: PackedBatch) -> torch.Tensor:
        """Return the weighted sum of the terms over supervised positions."""
        positions = supervised_positions(batch)
        labels = batch.labels.flatten().index_select(0, positions)
        with torch.no_grad():
            teacher_states = _states(self._teacher, batch, positions, set(self._layers.values()))
        control = self._control if model.training else TeacherControl.none
        if control is TeacherControl.positions:
            teacher_states = _derange(teacher_states)
        states = _states(model, batch, positions, set(self._layers))
        temperature, kl_weight, ce_weight = self._weights
        terms = divergence(
            states[-1],
            Head.of(model),
            teacher_states[-1],
            self._teacher_head(shuffled=control is TeacherControl.vocabulary),
            labels,
            temperature=temperature,
            kl_weight=kl_weight,
            ce_weight=ce_weight,
        )
        loss, hidden_loss = terms.loss, torch.zeros(())
        if self._hidden_weight:
            distances = [
                1
                - functional.cosine_similarity(states[a].float(), teacher_states[b].float(), dim=1)
                for a, b in self._layers.items()
            ]
            hidden_loss = torch.stack(distances).mean(0).sum()
            loss = loss + self._hidden_weight * hidden_loss
        if model.training:
            figures = (terms.kl, terms.cross_entropy, hidden_loss.detach(), len(labels))
            self._sums += torch.tensor([float(figure) for figure in figures])
        return loss

    def _teacher_head(self, *, shuffled: bool) -> Head:
        head = Head.of(self._teacher)
        if not shuffled:
            return head
        order = torch.randperm(len(head.weight)).to(head.weight.device)
        bias = None if head.bias is None else head.bias[order]
        return head._replace(weight=head.weight[order], bias=bias)

    def figures(self) -> dict[str, tuple[float, float]]:
        """Return the terms with a weight, as (sum, number of supervised tokens)."""
        kl, ce, hidden_loss, count = self._sums.tolist()
        self._sums.zero_()
        figures = {"kl": (kl, count)}
        if self._weights[2]:
            figures["cross_entropy"] = (ce, count)
        if self._hidden_weight:
            figures["hidden"] = (hidden_loss, count)
        return figures


class TopKDistillationObjective(Objective):
    """Distillation from a teacher's k most likely tokens, which an earlier stage has stored."""

    name = "distillation"

    def __init__(
        self,
        answers: StoredAnswers,
        held_out: StoredAnswers | None,
        *,
        kl_weight: float,
        ce_weight: float,
    ) -> None:
        """`answers` are those of the training split, `held_out` those of the validation split."""
        self._answers = {True: answers, False: held_out}
        self._kl_weight, self._ce_weight = kl_weight, ce_weight

    def prepare(self, train: np.ndarray, held_out: np.ndarray | None) -> None:
        """Keep the indices of the used examples, to look up their answers."""
        self._indices = {True: train, False: held_out}

    def loss(self, model: PreTrainedModel, batch: PackedBatch) -> torch.Tensor:
        """Return the weighted sum of the terms over supervised positions."""
        hidden, labels = supervised_states(model, batch)
        answers, indices = self._answers[model.training], self._indices[model.training]
        assert answers is not None and indices is not None
        stored = answers.read(indices[batch.examples.cpu().numpy()])
        teacher = TopK(*(column.to(hidden.device) for column in stored))
        return top_k_divergence(
            hidden,
            Head.of(model),
            teacher,
            labels,
            rows=answers.rows,
            kl_weight=self._kl_weight,
            ce_weight=self._ce_weight,
        ).loss


def _derange(states: dict[int, torch.Tensor]) -> dict[int, torch.Tensor]:
    """Return states [n, hidden] in which no position keeps its own, for n of at least 2."""
    (count,) = {len(state) for state in states.values()}
    order = torch.randperm(count)
    source = torch.empty_like(order)
    source[order] = order.roll(1)
    return {layer: state[source.to(state.device)] for layer, state in states.items()}


def _states(
    model: PreTrainedModel, batch: PackedBatch, positions: torch.Tensor, layers: set[int]
) -> dict[int, torch.Tensor]:
    """Return {layer: hidden states [n, hidden]} at n positions; -1 is after the final norm."""
    out = model.get_decoder()(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        use_cache=False,
        output_hidden_states=bool(layers),
    )
    states = {-1: out.last_hidden_state.flatten(0, 1).index_select(0, positions)}
    for layer in layers:
        states[layer] = out.hidden_states[layer + 1].flatten(0, 1).index_select(0, positions)
    return states
