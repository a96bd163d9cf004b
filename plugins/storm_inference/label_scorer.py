"""Scoring of one-token answers: their log-probabilities under a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

from storm_exp import InputError
from storm_inference.journal import Journal
from storm_inference.prefix_tree import (
    PADDING,
    PREFIX,
    Layout,
    Tokens,
    batches,
    lay_out,
    shared_length,
    tree_size,
)
from storm_models.families.model_config import model_config
from storm_models.families.rope import short_context

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Cached = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of a prefix per layer, each (1, KV heads, tokens, head size)."""


class LabelScorer:
    """Log-probabilities of given tokens as the next one, in batches of fixed shape.

    A row's result depends, in the last bits, on the shape of its batch. Here the shape depends only
    on the rows passed to `score`, so the same call gives the same bits.
    """

    def __init__(self, model: PreTrainedModel, *, rows: int, step: int) -> None:
        """Use `model` in batches of `rows` rows, padded to multiples of `step` tokens."""
        check_attention(model, 0)
        self._model = model
        self._rows, self._step = rows, step

    @torch.inference_mode()
    def score(
        self,
        prompts: Sequence[Sequence[Tokens]],
        answers: Sequence[Tokens],
        advance: Callable[[int], None] = lambda rows: None,
        journal: Journal | None = None,
    ) -> list[list[list[float]]]:
        """Return fp32 natural log-probabilities `[row][question][answer]`.

        `prompts[row][question]` is a list of token ids, and `answers[question]` are the ids to
        score after that question's prompt. A prefix shared by the prompts of all rows is computed
        once, one shared by those of a row once for the row. `advance` is called with numbers of
        finished rows. Batches in a `journal` of the same rows are not computed again; new ones are
        appended to it.
        """
        if not prompts:
            return []
        all_prompts = [prompt for row in prompts for prompt in row]
        check_attention(self._model, max(len(prompt) for prompt in all_prompts))
        skip = shared_length(all_prompts)
        prefix = self._prefix(all_prompts[0][:skip])
        results: list[list[list[float]]] = [[] for _ in prompts]
        sizes = [tree_size(row, skip) for row in prompts]
        done = journal.entries if journal else []
        for number, (width, indices) in enumerate(batches(sizes, self._rows, self._step)):
            if number < len(done):
                scores = done[number]
            else:
                rows = [lay_out(prompts[index], skip, width) for index in indices]
                scores = self._score_batch(rows, prefix, skip, answers)
                if journal:
                    journal.append(scores)
            for index, result in zip(indices, scores, strict=True):
                results[index] = result
            advance(len(set(indices)))
        return results

    def _prefix(self, tokens: Tokens) -> Cached:
        if not tokens:
            return []
        input_ids = torch.tensor([list(tokens)], device=self._model.device)
        cache = DynamicCache()
        self._model(input_ids=input_ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        layers: list[Any] = cache.layers
        return [(layer.keys, layer.values) for layer in layers]

    def _score_batch(
        self, rows: list[Layout], prefix: Cached, skip: int, answers: Sequence[Tokens]
    ) -> list[list[list[float]]]:
        device, dtype = self._model.device, self._model.dtype
        input_ids = torch.tensor([row.input_ids for row in rows], device=device)
        position_ids = torch.tensor([row.position_ids for row in rows], device=device)
        branches = torch.tensor([row.branches for row in rows], device=device)
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(prefix):
            shape = (len(rows), -1, -1, -1)
            cache.update(keys.expand(shape), values.expand(shape), layer)
        output = self._model(
            input_ids=input_ids,
            position_ids=position_ids,
            attention_mask=branch_mask(position_ids, branches, skip, dtype),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=len(answers),
        )
        log_probs_RQV = torch.log_softmax(output.logits.float(), dim=-1)
        label_log_probs = [
            log_probs_RQV[:, q, list(labels)].tolist() for q, labels in enumerate(answers)
        ]
        return [list(row) for row in zip(*label_log_probs, strict=True)]


def branch_mask(
    position_ids: torch.Tensor, branches: torch.Tensor, skip: int, dtype: torch.dtype
) -> torch.Tensor:
    """Return the additive mask, (rows, 1, width, skip + width), of rows laid out as trees.

    `position_ids` and `branches` are (rows, width). Every token attends to the first `skip` keys, a
    cached prefix. Padding attends to that prefix and itself; no other token attends to padding.
    """
    query, key = branches[:, :, None], branches[:, None, :]
    earlier = position_ids[:, None, :] <= position_ids[:, :, None]
    visible = ((key == PREFIX) | (key == query)) & earlier & (query != PADDING)
    visible |= torch.eye(branches.shape[1], dtype=torch.bool, device=branches.device)
    mask = torch.zeros(visible.shape, dtype=dtype, device=branches.device)
    mask.masked_fill_(~visible, torch.finfo(dtype).min)
    return torch.nn.functional.pad(mask, (skip, 0))[:, None]


def check_attention(model: PreTrainedModel, tokens: int) -> None:
    """Raise InputError for a model that cannot score prefix trees of prompts of `tokens` tokens."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    unknown = sorted(kinds - {"full_attention", "sliding_attention"})
    if unknown:
        raise InputError(
            f"layers of type {', '.join(unknown)} ({config.model_type}) cannot score several "
            "questions at once: only models with plain attention can"
        )
    window = getattr(config, "sliding_window", None)
    sliding = "sliding_attention" in kinds or getattr(config, "layer_types", None) is None
    if window and sliding and getattr(config, "use_sliding_window", True) and tokens > window:
        raise InputError(
            f"a prompt of {tokens} tokens is longer than the model's attention window of "
            f"{window}: lower max_length"
        )
    context = short_context(model_config(config.to_dict()))
    if context and tokens > context:
        raise InputError(
            f"a prompt of {tokens} tokens is longer than {context}, beyond which the model uses "
            "other rotary factors: lower max_length"
        )
    limit = getattr(config, "max_position_embeddings", None)
    if limit and tokens > limit:
        raise InputError(
            f"a prompt of {tokens} tokens is longer than the model's {limit} positions: lower "
            "max_length"
        )
