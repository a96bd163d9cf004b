"""Encoding of weights in a GGUF type, as bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from storm_exp import InputError
from storm_export.gguf.formats import GgufType


def encode(values: torch.Tensor, type_: GgufType) -> npt.NDArray[np.uint8]:
    """Return fp32 weights [rows, columns] as bytes of the given type [rows, bytes].

    16-bit types round to nearest. Raises InputError for weights that are not finite or too large.
    """
    import gguf

    rows = values.shape[0]
    if type_ is GgufType.bf16:
        rounded = values.to(torch.bfloat16)
        stored: npt.NDArray[np.uint8] = rounded.contiguous().view(torch.uint8).numpy()
    elif type_ is GgufType.f16:
        rounded = values.to(torch.float16)
        stored = rounded.contiguous().view(torch.uint8).numpy()
    else:
        rounded = values
        kind = gguf.GGMLQuantizationType[type_.name.upper()]
        stored = gguf.quants.quantize(values.contiguous().numpy(), kind)
    if not bool(rounded.isfinite().all()):
        raise InputError(f"a weight is NaN, infinite or too large for {type_.value}")
    return stored.view(np.uint8).reshape(rows, -1)
