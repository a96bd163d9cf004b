"""A weighted sum of checkpoints, written out: what programs that need files are given."""

from __future__ import annotations

import shutil
from pathlib import Path

from storm_exp import Memos, Progress, StoreError
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.files import WEIGHT_FILE
from storm_models.checkpoint.linear_combination import SUM_FILE

_VERSION = 1


def materialise(checkpoint: Checkpoint, stage: Memos) -> Checkpoint:
    """Return the checkpoint that holds a sum's weights in files; they are written if need be.

    Its tensors equal those of the sum bit by bit. What else lies beside a sum is copied. Raises
    StoreError outside a store, or when a parent is gone, InputError for NaN or overflow.
    """
    if not stage.keeps(checkpoint):
        raise StoreError(f"{checkpoint.directory}: a sum of checkpoints can be written in a store")

    def fill(directory: Path) -> None:
        from storm_models.checkpoint.weights import write_weights

        for file in sorted(checkpoint.directory.iterdir()):
            if file.name not in (SUM_FILE, "manifest.json"):
                shutil.copyfile(file, directory / file.name)
        with (
            checkpoint.open_weights() as weights,
            Progress("writing the merged weights", len(weights.headers), "tensors") as progress,
        ):
            write_weights(weights, directory / WEIGHT_FILE, progress.advance)

    payload = stage.memo("written", _VERSION, {"model": checkpoint}, fill)
    return Checkpoint(payload, payload.name)
