"""By-products of one model that evaluations share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from storm_exp import StageContext
from storm_models.checkpoint.checkpoint import Checkpoint


class ModelMemos:
    """Memos of a model, which are looked for before it is known how to fill them."""

    def __init__(self, stage: StageContext, model: Checkpoint, version: int) -> None:
        """`version` is to be raised when a memo of the same name would be filled differently."""
        self._stage, self._model, self._version = stage, model, version

    @staticmethod
    def name(kind: str, task: str, digest: str) -> str:
        """Return the name of what is kept of a task, given by all that it depends on."""
        return f"{kind}_{re.sub(r'[^A-Za-z0-9]+', '_', task)}_{digest}"

    def find(self, name: str) -> Path | None:
        """Return the folder of a memo, None if there is none."""
        if not self._stage.keeps(self._model):
            return None
        try:
            return self.keep(name, _refuse)
        except _NothingKeptError:
            return None

    def keep(self, name: str, write: Callable[[Path], None]) -> Path:
        """Return the folder of a memo, which is written unless it exists."""
        return self._stage.memo(name, self._version, {"model": self._model}, write)


class _NothingKeptError(Exception):
    """No evaluation has kept the memo."""


def _refuse(folder: Path) -> None:
    raise _NothingKeptError
