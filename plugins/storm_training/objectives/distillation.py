"""Learning from a teacher: its whole distribution, its hidden states, or its top k tokens."""

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
    """Forward KL from the student's distribution to the teacher's, at supervised positions.

    The teacher is in the loop and frozen. Beside the divergence may stand a share of
    cross-entropy, and a term that draws hidden states of layers to those of the teacher's layers:
    1 - cosine, per position and pair of layers.
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

        `control` shuffles what the teacher says in training passes, by torch's generator, which
        training seeds anew for every step.
        """
        self._teacher = teacher.requires_grad_(False).eval()
        self._weights = (temperature, kl_weight, ce_weight)
        self._hidden_weight, self._layers = hidden_weight, dict(layers or {})
        self._sums = torch.zeros(4, dtype=torch.float64)
        self._control = control

    def to(self, device: torch.device) -> None:
        """Move the teacher."""
        self._teacher.to(device)

    def loss(self, model: PreTrainedModel, batch: PackedBatch) -> torch.Tensor:
        """Return the weighted sum of the terms over supervised positions."""
        chosen = supervised_positions(batch)
        labels = batch.labels.flatten().index_select(0, chosen)
        with torch.no_grad():
            taught = _states(self._teacher, batch, chosen, set(self._layers.values()))
        control = self._control if model.training else TeacherControl.none
        if control is TeacherControl.positions:
            taught = _elsewhere(taught)
        states = _states(model, batch, chosen, set(self._layers))
        temperature, kl_weight, ce_weight = self._weights
        found = divergence(
            states[-1],
            Head.of(model),
            taught[-1],
            self._teacher_head(shuffled=control is TeacherControl.vocabulary),
            labels,
            temperature=temperature,
            kl_weight=kl_weight,
            ce_weight=ce_weight,
        )
        loss, apart = found.loss, torch.zeros(())
        if self._hidden_weight:
            terms = [
                1 - functional.cosine_similarity(states[one].float(), taught[other].float(), dim=1)
                for one, other in self._layers.items()
            ]
            apart = torch.stack(terms).mean(0).sum()
            loss = loss + self._hidden_weight * apart
        if model.training:
            figures = (found.kl, found.cross_entropy, apart.detach(), len(labels))
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
        """Return the terms per supervised token, those that have a weight."""
        kl, ce, apart, count = self._sums.tolist()
        self._sums.zero_()
        found = {"kl": (kl, count)}
        if self._weights[2]:
            found["cross_entropy"] = (ce, count)
        if self._hidden_weight:
            found["hidden"] = (apart, count)
        return found


class TopKDistillationObjective(Objective):
    """The same from the teacher's k most likely tokens, which a stage of its own has stored."""

    name = "distillation"

    def __init__(
        self,
        answers: StoredAnswers,
        held_out: StoredAnswers | None,
        *,
        kl_weight: float,
        ce_weight: float,
    ) -> None:
        """`answers` are of the training split, `held_out` of the validation's."""
        self._answers = {True: answers, False: held_out}
        self._kl_weight, self._ce_weight = kl_weight, ce_weight

    def prepare(self, train: np.ndarray, held_out: np.ndarray | None) -> None:
        """Remember which answers belong to the examples that are used."""
        self._indices = {True: train, False: held_out}

    def loss(self, model: PreTrainedModel, batch: PackedBatch) -> torch.Tensor:
        """Return the weighted sum of the terms over supervised positions."""
        hidden, labels = supervised_states(model, batch)
        answers, indices = self._answers[model.training], self._indices[model.training]
        assert answers is not None and indices is not None
        kept = answers.read(indices[batch.examples.cpu().numpy()])
        teacher = TopK(*(column.to(hidden.device) for column in kept))
        return top_k_divergence(
            hidden,
            Head.of(model),
            teacher,
            labels,
            rows=answers.rows,
            kl_weight=self._kl_weight,
            ce_weight=self._ce_weight,
        ).loss


def _elsewhere(states: dict[int, torch.Tensor]) -> dict[int, torch.Tensor]:
    """Return states [n, hidden] with every position's at another one, for n of 2 and more."""
    (count,) = {len(state) for state in states.values()}
    order = torch.randperm(count)
    source = torch.empty_like(order)
    source[order] = order.roll(1)
    return {layer: state[source.to(state.device)] for layer, state in states.items()}


def _states(
    model: PreTrainedModel, batch: PackedBatch, chosen: torch.Tensor, layers: set[int]
) -> dict[int, torch.Tensor]:
    """Return {layer: hidden states [n, hidden]} at the chosen positions; -1 is after the norm."""
    out = model.get_decoder()(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        use_cache=False,
        output_hidden_states=bool(layers),
    )
    found = {-1: out.last_hidden_state.flatten(0, 1).index_select(0, chosen)}
    for layer in layers:
        found[layer] = out.hidden_states[layer + 1].flatten(0, 1).index_select(0, chosen)
    return found
