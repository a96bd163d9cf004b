"""Attention inside the documents of packed rows, each computed at its own size.

A dense mask computes every pair of positions in a row, to throw most of them away: nine tenths of
them in a row of 512 positions with documents of 20 to 200 tokens. Registered with transformers
under NAME when this module is imported.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface

from storm_exp import InputError

NAME = "documents"

_WASTE = 1.05
_PAIRS = 1 << 18
_LONGEST_DENSE = 512


@dataclasses.dataclass(eq=False)
class Documents:
    """Where the documents of a batch of packed rows lie; takes a mask's place in transformers."""

    cu_seqlens: torch.Tensor
    """int32 [documents + 1]: where each begins in the flattened batch, and where that ends."""
    longest: int
    """Tokens of the longest document."""
    window: int | None = None
    """How many tokens a query sees, itself included; None: its document up to itself."""

    def __post_init__(self) -> None:
        """Start without masks; they are made once per forward pass and length."""
        self._masks: dict[tuple[int, int], torch.Tensor] = {}

    @functools.cached_property
    def groups(self) -> Groups:
        """The documents, sorted into groups of like length."""
        ends = self.cu_seqlens.tolist()
        sizes = sorted((end - start, start) for start, end in itertools.pairwise(ends))
        return _group(sizes, ends[-1])

    def mask(self, length: int, copies: int) -> torch.Tensor:
        """Return fp32 [copies * length, length]: 0 where a query sees a key, elsewhere -inf."""
        if (length, copies) not in self._masks:
            seen = torch.ones(length, length, dtype=torch.bool).tril_()
            if self.window is not None:
                seen = seen.triu_(1 - self.window)
            mask = torch.zeros(length, length).masked_fill_(~seen, -torch.inf)
            self._masks[length, copies] = mask.repeat(copies, 1)
        return self._masks[length, copies]


class Groups(NamedTuple):
    """Documents in order of length, those of a group padded to the longest of it.

    Padding follows a document, so that a causal mask keeps every token from seeing it.
    """

    sizes: list[tuple[int, int]]
    """Documents and padded length of each group."""
    places: torch.Tensor
    """int64 [padded]: where each padded token stands in the batch; padding repeats its last."""
    padding: torch.Tensor
    """int64: which of the padded tokens are padding."""
    back: torch.Tensor
    """int64 [tokens]: where each token of the batch stands among the padded ones."""


def _group(sizes: list[tuple[int, int]], tokens: int) -> Groups:
    """Group documents (length, start), shortest first, so that little is wasted."""
    groups: list[list[tuple[int, int]]] = []
    real = 0
    for length, start in sizes:
        area = (len(groups[-1]) + 1) * length if groups else 0
        if groups and area <= max(_WASTE * (real + length), 64) and area * length <= _PAIRS:
            groups[-1].append((length, start))
            real += length
        else:
            groups.append([(length, start)])
            real = length
    places: list[torch.Tensor] = []
    real_ones: list[torch.Tensor] = []
    for group in groups:
        lengths, starts = torch.tensor(group).T[..., None]
        steps = torch.arange(int(lengths[-1]))
        places.append((starts + steps.minimum(lengths - 1)).flatten())
        real_ones.append((steps < lengths).flatten())
    is_real = torch.cat(real_ones)
    every = torch.cat(places)
    back = torch.empty(tokens, dtype=torch.int64)
    back[every[is_real]] = is_real.nonzero().flatten()
    padded = [(len(group), group[-1][0]) for group in groups]
    return Groups(padded, every, (~is_real).nonzero().flatten(), back)


@torch.compiler.disable
def documents_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    *_: int,
    mask_function: Callable[..., torch.Tensor],
    attention_mask: torch.Tensor | None = None,
    local_size: int | None = None,
    use_vmap: bool = False,
    device: torch.device | str = "cpu",
    **__: Any,
) -> Documents:
    """Return where the documents lie, as AttentionMaskInterface of transformers asks for masks.

    Two neighbours are in one document when the mask lets the second see the first. Raises
    InputError for what packed rows do not have: padding masks, caches, masks of a model's own.
    """
    if attention_mask is not None or kv_length != q_length or use_vmap:
        raise InputError("attention by documents takes packed rows, without a mask or a cache")
    begins = torch.ones(batch_size, q_length, dtype=torch.bool, device=device)
    if local_size != 1:
        rows = torch.arange(batch_size, device=device)[:, None]
        queries = torch.arange(1, q_length, device=device)[None]
        begins[:, 1:] = ~mask_function(rows, 0, queries, queries - 1)
    starts = begins.flatten().nonzero().flatten()
    cu_seqlens = functional.pad(starts, (0, 1), value=batch_size * q_length).to(torch.int32)
    return Documents(cu_seqlens, int(cu_seqlens.diff().max()), local_size)


@torch.compiler.disable
def documents_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Documents,
    dropout: float = 0.0,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    position_bias: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Return attention [rows, positions, heads, head_dim] (AttentionInterface of transformers).

    `query` is [rows, heads, positions, head_dim]; key and value may have fewer heads, each shared
    by several queries'. On a GPU this is FlashAttention, on a CPU plain products for short
    documents and torch's flash kernel for long ones. Scores and softmax are fp32 in all of them.
    Raises InputError for what a model adds to attention that none of them has.
    """
    extras = {"soft cap": softcap, "sinks": s_aux, "position bias": position_bias}
    unknown = [name for name, extra in extras.items() if extra is not None]
    if dropout or unknown:
        raise InputError(f"attention by documents has no {', '.join(unknown or ['dropout'])}")
    device = query.device.type
    if torch.is_autocast_enabled(device):
        value = value.to(torch.get_autocast_dtype(device))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    q, k, v = (states.transpose(1, 2).flatten(0, 1) for states in (query, key, value))
    attend = _on_gpu if device == "cuda" else _ByGroups.apply
    return attend(q, k, v, attention_mask, scale).unflatten(0, (len(query), -1)), None


AttentionInterface.register(NAME, documents_attention)
AttentionMaskInterface.register(NAME, documents_mask)


def _on_gpu(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    documents: Documents,
    scale: float,
) -> torch.Tensor:
    options: dict[str, Any] = {"enable_gqa": True}
    if "enable_gqa" not in inspect.signature(varlen_attn).parameters:  # torch 2.11
        options = {}
        key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    cu_seqlens, longest = documents.cu_seqlens, documents.longest
    result = varlen_attn(
        query.to(value.dtype),
        key.to(value.dtype),
        value,
        cu_seqlens,
        cu_seqlens,
        longest,
        longest,
        scale=scale,
        window_size=(-1 if documents.window is None else documents.window - 1, 0),
        **options,
    )
    assert isinstance(result, torch.Tensor)
    return result


class _ByGroups(torch.autograd.Function):
    """Attention over tokens [tokens, heads, head_dim], a group of documents at a time."""

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
        padded = [states.index_select(0, groups.places) for states in (query, key, value)]
        result = torch.empty_like(padded[0], dtype=value.dtype)
        kept: list[tuple[torch.Tensor, ...]] = []
        with torch.autocast("cpu", enabled=False):
            for kernel, out, *states in _cut(groups, value.dtype, result, *padded):
                attended, saved = kernel.forward(*states, documents, scale)
                out.copy_(attended.view(out.shape))
                kept.append(saved)
        ctx.save_for_backward(*(tensor for saved in kept for tensor in saved))
        ctx.counts = [len(saved) for saved in kept]
        ctx.documents, ctx.scale = documents, scale
        ctx.like = [(states.shape, states.dtype) for states in padded]
        return result.index_select(0, groups.back)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        groups = ctx.documents.groups
        padded = gradient.index_select(0, groups.places).index_fill_(0, groups.padding, 0)
        results = [torch.empty(shape, dtype=dtype) for shape, dtype in ctx.like]
        saved, counts = iter(ctx.saved_tensors), iter(ctx.counts)
        with torch.autocast("cpu", enabled=False):
            for kernel, outer, *into in _cut(groups, gradient.dtype, padded, *results):
                kept = tuple(itertools.islice(saved, next(counts)))
                parts = kernel.backward(outer, kept, ctx.documents, ctx.scale)
                for out, part in zip(into, parts, strict=True):
                    out.copy_(part.view(out.shape))
        return (*(result.index_select(0, groups.back) for result in results), None, None)


def _cut(groups: Groups, dtype: torch.dtype, *padded: torch.Tensor) -> Iterator[tuple[Any, ...]]:
    """Yield every group's kernel, and its part of each tensor [documents, heads, length, dim]."""
    end = 0
    for count, length in groups.sizes:
        start, end = end, end + count * length
        kernel = _Dense if dtype == torch.bfloat16 and length <= _LONGEST_DENSE else _Flash
        parts = (states[start:end].unflatten(0, (count, length)) for states in padded)
        yield (kernel, *(part.transpose(1, 2) for part in parts))


class _Dense:
    """Plain products over all pairs of a document: faster than the flash kernel in bf16.

    Scores are fp32. Probabilities are kept for the backward pass, so only for short documents.
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
        seen = torch.softmax(scores, -1).to(value.dtype)
        saved = (query.to(value.dtype), key.to(value.dtype), value, seen)
        return torch.bmm(seen, value), saved

    @staticmethod
    def backward(
        outer: torch.Tensor, saved: tuple[torch.Tensor, ...], documents: Documents, scale: float
    ) -> tuple[torch.Tensor, ...]:
        query, key, value, seen = saved
        outer = outer.reshape(query.shape)
        of_seen = torch.bmm(outer, value.transpose(1, 2))
        of_scores = torch.ops.aten._softmax_backward_data(of_seen, seen, -1, seen.dtype)
        of_query = torch.bmm(of_scores, key).mul_(scale)
        of_key = torch.bmm(of_scores.transpose(1, 2), query).mul_(scale)
        return of_query, of_key, torch.bmm(seen.transpose(1, 2), outer)


class _Flash:
    """Torch's flash kernel, in fp32 at least: in bf16 its backward pass is several times slower."""

    @staticmethod
    def forward(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        documents: Documents,
        scale: float,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        states = tuple(_precise(x) for x in (query, key, value))
        out, logarithm = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            *states, scale=scale, **_visible(documents, query)
        )
        return out, (*states, out, logarithm)

    @staticmethod
    def backward(
        outer: torch.Tensor, saved: tuple[torch.Tensor, ...], documents: Documents, scale: float
    ) -> tuple[torch.Tensor, ...]:
        visible = _visible(documents, saved[0])
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
        parts: tuple[torch.Tensor, ...] = kernel(
            _precise(outer), *saved, dropout_p=0.0, scale=scale, **visible
        )
        return parts


def _precise(states: torch.Tensor) -> torch.Tensor:
    return states.to(torch.promote_types(states.dtype, torch.float32))


def _visible(documents: Documents, query: torch.Tensor) -> dict[str, Any]:
    length = query.shape[2]
    if documents.window is None or documents.window >= length:
        return {"is_causal": True}
    return {"is_causal": False, "attn_mask": documents.mask(length, 1).to(_precise(query).dtype)}
