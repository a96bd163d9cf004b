"""In what numbers to compute, and in what numbers weights are held."""

from __future__ import annotations

import torch


def choose_precision(wanted: str, accelerator: str) -> str:
    """Return `bf16-mixed`, `bf16` or `32`: `auto` by what `accelerator` (cpu or gpu) can do.

    A CPU qualifies for bf16-mixed when it multiplies bf16 in hardware (AMX or AVX512_BF16).
    """
    if wanted != "auto":
        return wanted
    if accelerator == "gpu":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    tells = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    supported = any(getattr(torch.cpu, name, bool)() for name in tells)
    return "bf16-mixed" if supported else "32"


def hold_weights(model: torch.nn.Module, precision: str, *, compact: bool = True) -> None:
    """Give every parameter of `model` the dtype in which it is held during training, in place.

    32: fp32. bf16: bf16. bf16-mixed: fp32, but, if `compact`, bf16 for frozen weights of linear
    layers that it holds exactly: autocast makes them bf16 in every pass, so the bits are the same,
    in half the memory. (Embeddings are not cast by autocast; in bf16 their results would be.)

    Buffers stay as they are: `model.to(bfloat16)` would round rotary frequencies, which turns
    distant positions by whole radians.
    """
    linear = _ids(model, linear=True) - _ids(model, linear=False)  # a tied head is an embedding
    saves = compact and precision == "bf16-mixed"
    for parameter in model.parameters():
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        if saves and id(parameter) in linear and not parameter.requires_grad:
            dtype = _smallest(parameter)
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)


def _ids(model: torch.nn.Module, *, linear: bool) -> set[int]:
    modules = (m for m in model.modules() if (type(m) is torch.nn.Linear) == linear)
    return {id(parameter) for m in modules for parameter in m.parameters(recurse=False)}


def _smallest(values: torch.Tensor) -> torch.dtype:
    rounded = values.detach().to(torch.bfloat16)
    exact = torch.equal(rounded.to(values.dtype), values.detach())
    return torch.bfloat16 if exact else torch.float32
