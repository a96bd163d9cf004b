"""The precision of arithmetic and of weights in training."""

from __future__ import annotations

import torch


def choose_precision(setting: str, accelerator: str) -> str:
    """Return `bfloat16_mixed`, `bfloat16` or `float32`; of `auto` the `accelerator` decides.

    It is cpu or gpu. A CPU gets bfloat16_mixed if it multiplies bfloat16 in hardware (AMX or
    AVX512_BF16).
    """
    if setting != "auto":
        return str(setting)
    if accelerator == "gpu":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        supported = any(getattr(torch.cpu, name, bool)() for name in checks)
    return "bfloat16_mixed" if supported else "float32"


def hold_weights(model: torch.nn.Module, precision: str, *, compact: bool = True) -> None:
    """Convert every parameter of `model` to its dtype during training, in place.

    float32 and bfloat16 as named; bfloat16_mixed is float32, except that with `compact`, frozen
    weights of linear layers are bfloat16 where that is exact: autocast would cast them in every
    pass anyway, so this gives the same bits in half the memory. (Embeddings are not cast by
    autocast, so they stay float32.)

    Buffers are not converted: `model.to(bfloat16)` would round rotary frequencies, which rotates
    distant positions by whole radians.
    """
    linear = _parameter_ids(model, linear=True) - _parameter_ids(
        model, linear=False
    )  # a tied head is an embedding
    narrow = compact and precision == "bfloat16_mixed"
    for parameter in model.parameters():
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        if narrow and id(parameter) in linear and not parameter.requires_grad:
            dtype = _exact_dtype(parameter)
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)


def _parameter_ids(model: torch.nn.Module, *, linear: bool) -> set[int]:
    modules = (m for m in model.modules() if (type(m) is torch.nn.Linear) == linear)
    return {id(parameter) for m in modules for parameter in m.parameters(recurse=False)}


def _exact_dtype(values: torch.Tensor) -> torch.dtype:
    """Return bf16 if it represents all values exactly, else fp32."""
    rounded = values.detach().to(torch.bfloat16)
    exact = torch.equal(rounded.to(values.dtype), values.detach())
    return torch.bfloat16 if exact else torch.float32
