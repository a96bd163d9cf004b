"""Writing Lightning's checkpoints directly to their file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from storm_exp import StoreError


class ScratchCheckpoints(TorchCheckpointIO):
    """Writes into the given file; callers rename it when it is complete.

    Lightning's own implementation makes a second copy in memory and a third in the temporary
    folder, where a killed process leaves it behind.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write and sync to disk; raises StoreError, with path and size, when that fails."""
        file = Path(path)
        try:
            torch.save(checkpoint, str(file))
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        except (OSError, RuntimeError) as error:  # torch wraps the system's error
            file.unlink(missing_ok=True)
            reason = " ".join(str(error).split())
            raise StoreError(
                f"{file}: a training checkpoint of {_bytes(checkpoint) / 1e9:.3g} GB cannot be "
                f"written there ({reason}); make room, or move the store (store.path)"
            ) from error


def _bytes(value: Any) -> int:
    """Return the size of the tensors in nested dicts and lists."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, list | tuple) else 0
