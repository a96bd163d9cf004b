"""Scoring a model without each of some runs of layers, in one pass over the rows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from storm_minitron.calibration.batches import Batch
from storm_minitron.depth.block_importance import AnswerScore

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Run = tuple[int, int]
"""(first layer, number of layers); (0, 0) is the empty run."""

WHOLE: Run = (0, 0)

_POSITIONS = 1024
"""Most positions whose logits are in memory at a time."""


class Score:
    """An answer score, accumulated batch by batch."""

    def __init__(self) -> None:
        self._loss, self._tokens, self._correct = 0.0, 0, 0
        self._answers, self._exact = 0, 0

    def add(self, losses_N: torch.Tensor, correct_N: torch.Tensor, rows_N: torch.Tensor) -> None:
        """Add the losses of answer tokens, whether they are predicted, and the rows they are in.

        All tokens of a row must come in the same call.
        """
        self._loss += float(losses_N.double().sum())
        self._tokens += len(losses_N)
        self._correct += int(correct_N.sum())
        wrong = set(rows_N[~correct_N].tolist())
        rows = set(rows_N.tolist())
        self._answers += len(rows)
        self._exact += len(rows - wrong)

    def result(self) -> AnswerScore:
        """Return the means."""
        return {
            "loss": self._loss / max(1, self._tokens),
            "token_accuracy": self._correct / max(1, self._tokens),
            "exact_match": self._exact / max(1, self._answers),
        }


@torch.inference_mode()
def score_runs(
    network: PreTrainedModel,
    runs: Sequence[Run],
    batches: Iterable[Batch],
    advance: Callable[[int], None] = lambda rows: None,
) -> tuple[dict[Run, AnswerScore], torch.Tensor]:
    """Return the score without each run, and the block influence, fp64 (layers, layers).

    Hidden states before a run are those of the whole model and computed once; only the layers
    after a run are computed again.
    """
    layers: Any = network.model.layers
    scores = {run: Score() for run in (WHOLE, *runs)}
    cosines = torch.zeros(len(layers) + 1, len(layers) + 1, dtype=torch.float64)
    tokens = 0
    for batch in batches:
        states, output = _states(network, batch)
        cosines += _cosines([state[batch.counted_RT] for state in states])
        tokens += int(batch.counted_RT.sum())
        _add(scores[WHOLE], network, output, batch)
        for first, count in runs:
            with skip_layers(layers, first, count, states[first]):
                output = network.model(**batch.inputs(), use_cache=False).last_hidden_state
            _add(scores[first, count], network, output, batch)
        advance(int(batch.counted_RT.any(dim=1).sum()))
    distance = 1 - cosines / max(1, tokens)
    influence = torch.full((len(layers), len(layers)), torch.nan, dtype=torch.float64)
    for first in range(len(layers)):
        for count in range(1, len(layers) - first + 1):
            influence[first, count - 1] = distance[first, first + count]
    return {run: score.result() for run, score in scores.items()}, influence


@contextlib.contextmanager
def skip_layers(layers: Any, first: int, count: int, state: torch.Tensor) -> Iterator[None]:
    """Within, all layers up to the end of a run return `state`, the input of its first layer.

    `state` is (rows, tokens, hidden).
    """
    replaced = layers[: first + count]
    try:
        for layer in replaced:
            layer.forward = lambda hidden_states, *args, **kwargs: state
        yield
    finally:
        for layer in replaced:
            vars(layer).pop("forward", None)


def _states(network: PreTrainedModel, batch: Batch) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the inputs of all layers with the output of the last, and that of the final norm."""
    layers: Any = network.model.layers
    states: list[torch.Tensor] = []
    with contextlib.ExitStack() as stack:
        for layer in layers:
            handle = layer.register_forward_pre_hook(
                lambda module, args, kwargs: states.append(
                    args[0] if args else kwargs["hidden_states"]
                ),
                with_kwargs=True,
            )
            stack.callback(handle.remove)
        last = layers[-1].register_forward_hook(lambda module, args, output: states.append(output))
        stack.callback(last.remove)
        output = network.model(**batch.inputs(), use_cache=False).last_hidden_state
    return states, output


def _cosines(states: list[torch.Tensor]) -> torch.Tensor:
    """Return the sum over tokens of the cosines between all pairs of states (tokens, hidden)."""
    total = torch.zeros(len(states), len(states), dtype=torch.float64)
    for start in range(0, len(states[0]), _POSITIONS):
        chunk_STC = torch.stack([state[start : start + _POSITIONS].float() for state in states])
        unit_STC = torch.nn.functional.normalize(chunk_STC, dim=-1)
        total += torch.einsum("stc,utc->su", unit_STC, unit_STC).double().cpu()
    return total


def _add(score: Score, network: PreTrainedModel, hidden_RTC: torch.Tensor, batch: Batch) -> None:
    """Add the answer tokens to `score`; each is predicted at the position before it."""
    answer_RT = batch.answer_RT[:, 1:]
    hidden_NC = hidden_RTC[:, :-1][answer_RT]
    labels_N, rows_N = batch.input_ids_RT[:, 1:][answer_RT], answer_RT.nonzero()[:, 0]
    losses, hits = [], []
    for start in range(0, len(labels_N), _POSITIONS):
        logits_NV = head_logits(network, hidden_NC[start : start + _POSITIONS])
        labels = labels_N[start : start + _POSITIONS]
        losses.append(
            torch.nn.functional.cross_entropy(logits_NV.float(), labels, reduction="none")
        )
        hits.append(logits_NV.argmax(dim=-1) == labels)
    if losses:
        score.add(torch.cat(losses), torch.cat(hits), rows_N)


def head_logits(network: PreTrainedModel, hidden_NC: torch.Tensor) -> torch.Tensor:
    """Return the logits of hidden states, soft-capped if the config says so (Gemma 2)."""
    logits_NV: torch.Tensor = network.lm_head(hidden_NC)
    cap = getattr(network.config, "final_logit_softcapping", None)
    return logits_NV if cap is None else torch.tanh(logits_NV / cap) * cap
