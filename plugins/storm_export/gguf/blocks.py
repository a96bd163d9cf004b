"""Numbers in a file's formats, as bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from storm_exp import InputError
from storm_export.gguf.formats import GgufType


def encode(values: torch.Tensor, type_: GgufType) -> npt.NDArray[np.uint8]:
    """Return rows of weights [rows, columns], in fp32, as the bytes of a type [rows, bytes].

    16-bit formats round to the nearest. Raises InputError for what is not finite, or too large.
    """
    import gguf

    rows = values.shape[0]
    if type_ is GgufType.bf16:
        rounded = values.to(torch.bfloat16)
        found: npt.NDArray[np.uint8] = rounded.contiguous().view(torch.uint8).numpy()
    elif type_ is GgufType.f16:
        rounded = values.to(torch.float16)
        found = rounded.contiguous().view(torch.uint8).numpy()
    else:
        rounded = values
        kind = gguf.GGMLQuantizationType[type_.name.upper()]
        found = gguf.quants.quantize(values.contiguous().numpy(), kind)
    if not bool(rounded.isfinite().all()):
        raise InputError(f"a weight is no number, or too large for {type_.value}")
    return found.view(np.uint8).reshape(rows, -1)
