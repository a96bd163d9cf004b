"""A safetensors file of a checkpoint's weights: digested and flushed while it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from storm_models.checkpoint.read_ahead import ReadAhead
from storm_models.checkpoint.weights import Weights
from storm_models.folder.background_digest import BackgroundDigest
from storm_models.folder.background_flush import BackgroundFlush
from storm_models.folder.tensor_file import TensorWriter


def write_weights(weights: Weights, file: Path, advance: Callable[[], None]) -> list[Any]:
    """Write all tensors to `file`; return its bytes and its sha256.

    `advance` is called after each tensor. Raises what reading the weights raises.
    """
    with (
        BackgroundDigest() as digest,
        TensorWriter(file, weights.headers, digest) as writer,
        BackgroundFlush(file),
        ReadAhead([weights], writer.names) as ahead,
    ):
        for name in writer.names:
            for start, (piece,) in ahead.read(name):
                writer.write(name, piece, start)
            advance()
        return digest.entry()
