"""The program `python read_gguf.py FILE OUT`, which unpacks a GGUF file.

It writes into the folder OUT `metadata.json` and each tensor, dequantised to float32, as
`NAME.npy`. It runs in an environment with `gguf`, and imports no package of storm-exp.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize


def main(file: Path, out: Path) -> None:
    """Unpack `file` into `out`; the metadata is written last."""
    reader = GGUFReader(file)
    for tensor in reader.tensors:
        shape = tuple(int(size) for size in reversed(tensor.shape))
        values = dequantize(tensor.data, tensor.tensor_type).reshape(shape)
        np.save(out / f"{tensor.name}.npy", values.astype(np.float32, copy=False))
    metadata = {name: field.contents() for name, field in reader.fields.items()}
    text = json.dumps(metadata, default=lambda value: value.item(), ensure_ascii=False)
    (out / "metadata.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
