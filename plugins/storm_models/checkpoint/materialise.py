"""A weighted sum of checkpoints, written to files of weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_exp import Artifact, Memos, Progress, StoreError
from storm_models.folder.files import SUM_FILE, WEIGHT_FILE

if TYPE_CHECKING:
    from storm_models.checkpoint.weights import Weights

_VERSION = 1


def materialise(
    total: Artifact, open_weights: Callable[[], AbstractContextManager[Weights]], stage: Memos
) -> Path:
    """Return the folder that holds a sum's weights in files; they are written if need be.

    `open_weights` opens the sum `total` for reading. The tensors equal the computed ones bit by
    bit; the other files of the sum are copied. Raises StoreError outside a store or when a parent
    was deleted, InputError for NaN or overflow.
    """
    if not stage.keeps(total):
        raise StoreError(
            f"{total.directory}: a sum of checkpoints can only be written out within its store"
        )

    def fill(directory: Path) -> dict[str, list[Any]]:
        from storm_models.checkpoint.weight_file import write_weights

        for file in sorted(total.directory.iterdir()):
            if file.name not in (SUM_FILE, "manifest.json"):
                shutil.copyfile(file, directory / file.name)
        with (
            open_weights() as weights,
            Progress("writing the merged weights", len(weights.headers), "tensors") as progress,
        ):
            entry = write_weights(weights, directory / WEIGHT_FILE, progress.advance)
        return {WEIGHT_FILE: entry}

    return stage.memo("written", _VERSION, {"model": total}, fill)
