"""Attention on a CPU, computed for one group of documents at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch

from storm_training.attention.documents import Documents, Groups

_LONGEST_DENSE = 512
"""Longest documents, in tokens, that `_Dense` computes."""


def attention_on_cpu(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    documents: Documents,
    scale: float,
) -> torch.Tensor:
    """Return attention [tokens, heads, head_dim] within documents, one group of them at a time."""
    states: torch.Tensor = _ByGroups.apply(  # type: ignore[no-untyped-call]
        query, key, value, documents, scale
    )
    return states


class _ByGroups(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        documents: Documents,
        scale: float,
    ) -> torch.Tensor:
        groups = documents.groups
        padded = [states.index_select(0, groups.to_padded) for states in (query, key, value)]
        result = torch.empty_like(padded[0], dtype=value.dtype)
        saved_by_group: list[tuple[torch.Tensor, ...]] = []
        with torch.autocast("cpu", enabled=False):
            for kernel, out, *states in _split(groups, value.dtype, result, *padded):
                attended, saved = kernel.forward(*states, documents, scale)
                out.copy_(attended.view(out.shape))
                saved_by_group.append(saved)
        ctx.save_for_backward(*(tensor for saved in saved_by_group for tensor in saved))
        ctx.counts = [len(saved) for saved in saved_by_group]
        ctx.documents, ctx.scale = documents, scale
        ctx.like = [(states.shape, states.dtype) for states in padded]
        return result.index_select(0, groups.from_padded)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        groups = ctx.documents.groups
        padded = gradient.index_select(0, groups.to_padded).index_fill_(0, groups.padding, 0)
        results = [torch.empty(shape, dtype=dtype) for shape, dtype in ctx.like]
        saved, counts = iter(ctx.saved_tensors), iter(ctx.counts)
        with torch.autocast("cpu", enabled=False):
            for kernel, grad_output, *targets in _split(groups, gradient.dtype, padded, *results):
                saved_here = tuple(itertools.islice(saved, next(counts)))
                parts = kernel.backward(grad_output, saved_here, ctx.documents, ctx.scale)
                for out, part in zip(targets, parts, strict=True):
                    out.copy_(part.view(out.shape))
        return (*(result.index_select(0, groups.from_padded) for result in results), None, None)


def _split(groups: Groups, dtype: torch.dtype, *padded: torch.Tensor) -> Iterator[tuple[Any, ...]]:
    """Yield each group's kernel and its parts of the tensors [documents, heads, length, dim]."""
    end = 0
    for count, length in groups.sizes:
        start, end = end, end + count * length
        kernel = _Dense if dtype == torch.bfloat16 and length <= _LONGEST_DENSE else _Flash
        parts = (states[start:end].unflatten(0, (count, length)) for states in padded)
        yield (kernel, *(part.transpose(1, 2) for part in parts))


class _Dense:
    """Matrix products over all pairs of positions: in bf16 faster than the flash kernel.

    Scores are fp32. Only for short documents, since probabilities are kept for the backward pass.
    """

    @staticmethod
    def forward(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        documents: Documents,
        scale: float,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        mask = documents.mask(query.shape[2], query.shape[1] // key.shape[1])
        batch = len(key) * key.shape[1]
        query, key, value = (x.reshape(batch, -1, x.shape[3]) for x in (query, key, value))
        scores = torch.baddbmm(mask, query.float(), key.float().transpose(1, 2), alpha=scale)
        probs = torch.softmax(scores, -1).to(value.dtype)
        saved = (query.to(value.dtype), key.to(value.dtype), value, probs)
        return torch.bmm(probs, value), saved

    @staticmethod
    def backward(
        grad_output: torch.Tensor,
        saved: tuple[torch.Tensor, ...],
        documents: Documents,
        scale: float,
    ) -> tuple[torch.Tensor, ...]:
        query, key, value, probs = saved
        grad_output = grad_output.reshape(query.shape)
        grad_probs = torch.bmm(grad_output, value.transpose(1, 2))
        grad_scores = torch.ops.aten._softmax_backward_data(grad_probs, probs, -1, probs.dtype)
        grad_query = torch.bmm(grad_scores, key).mul_(scale)
        grad_key = torch.bmm(grad_scores.transpose(1, 2), query).mul_(scale)
        return grad_query, grad_key, torch.bmm(probs.transpose(1, 2), grad_output)


class _Flash:
    """Torch's flash kernel, at least in fp32: in bf16 its backward pass is several times slower."""

    @staticmethod
    def forward(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        documents: Documents,
        scale: float,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        states = tuple(_at_least_fp32(x) for x in (query, key, value))
        out, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            *states, scale=scale, **_mask_arguments(documents, query)
        )
        return out, (*states, out, logsumexp)

    @staticmethod
    def backward(
        grad_output: torch.Tensor,
        saved: tuple[torch.Tensor, ...],
        documents: Documents,
        scale: float,
    ) -> tuple[torch.Tensor, ...]:
        visible = _mask_arguments(documents, saved[0])
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
        parts: tuple[torch.Tensor, ...] = kernel(
            _at_least_fp32(grad_output), *saved, dropout_p=0.0, scale=scale, **visible
        )
        return parts


def _at_least_fp32(states: torch.Tensor) -> torch.Tensor:
    return states.to(torch.promote_types(states.dtype, torch.float32))


def _mask_arguments(documents: Documents, query: torch.Tensor) -> dict[str, Any]:
    length = query.shape[2]
    if documents.window is None or documents.window >= length:
        return {"is_causal": True}
    return {
        "is_causal": False,
        "attn_mask": documents.mask(length, 1).to(_at_least_fp32(query).dtype),
    }
