"""Attention within the documents of packed rows, without computing pairs across documents.

A dense mask would compute every pair of positions in a row and discard most: nine tenths of them in
a row of 512 positions with documents of 20 to 200 tokens. Importing this module registers the
implementation with transformers as NAME.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface

from storm_exp import InputError
from storm_training.attention.cpu_kernels import attention_on_cpu
from storm_training.attention.documents import Documents

NAME = "documents"


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
    """Return the boundaries of documents, with the signature of AttentionMaskInterface.

    Two neighbours are in the same document if the mask lets the second attend to the first. Raises
    InputError for a padding mask, a cache or a model's own mask, which packed rows do not have.
    """
    if attention_mask is not None or kv_length != q_length or use_vmap:
        raise InputError("attention=documents takes packed rows, without a mask or a cache")
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
    """Return attention [rows, positions, heads, head_dim], with AttentionInterface's signature.

    `query` is [rows, heads, positions, head_dim]; key and value may have fewer heads (grouped
    queries). On a GPU this is FlashAttention, on a CPU matrix products for short documents and
    torch's flash kernel for long ones. Scores and softmax are fp32 in all of them. Raises
    InputError for additions to attention that none of them supports.
    """
    extras = {"soft cap": softcap, "sinks": s_aux, "position bias": position_bias}
    unsupported = [name for name, extra in extras.items() if extra is not None]
    if dropout or unsupported:
        names = ", ".join(unsupported or ["dropout"])
        raise InputError(f"attention=documents does not support {names}")
    device = query.device.type
    if torch.is_autocast_enabled(device):
        value = value.to(torch.get_autocast_dtype(device))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    q, k, v = (states.transpose(1, 2).flatten(0, 1) for states in (query, key, value))
    attend = _flash_on_gpu if device == "cuda" else attention_on_cpu
    return attend(q, k, v, attention_mask, scale).unflatten(0, (len(query), -1)), None


AttentionInterface.register(NAME, documents_attention)
AttentionMaskInterface.register(NAME, documents_mask)


def _flash_on_gpu(
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
