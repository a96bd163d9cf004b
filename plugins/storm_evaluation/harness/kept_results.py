"""Results of one model by task, each of which is kept by itself, for every evaluation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from storm_evaluation.harness.task_result import TaskResult
from storm_exp import StageContext
from storm_models.checkpoint.checkpoint import Checkpoint


class KeptResults:
    """The results of leaf tasks as memos of the model.

    Several workers may look for a result. Only one may keep it.
    """

    def __init__(
        self, stage: StageContext, model: Checkpoint, version: int, digests: Mapping[str, str]
    ) -> None:
        """Look for the results of tasks, given by the digest of what each depends on.

        `version` is to be raised when the same would give a different result.
        """
        self._stage, self._model, self._version = stage, model, version
        self._digests = digests
        self._folders = {name: folder for name in digests if (folder := self._find(name))}

    def missing(self) -> list[str]:
        """Return the names of the tasks without a result."""
        return [name for name in self._digests if name not in self._folders]

    def keep(self, result: TaskResult) -> None:
        """Keep a task's result."""
        self._folders[result.task] = self._memo(result.task, result)

    def results(self) -> dict[str, TaskResult]:
        """Return the result of every task, in the order in which they were given."""
        return {name: TaskResult.read(self._folders[name]) for name in self._digests}

    def _find(self, name: str) -> Path | None:
        if not self._stage.keeps(self._model):
            return None
        try:
            return self._memo(name, None)
        except _NoResultError:
            return None

    def _memo(self, name: str, result: TaskResult | None) -> Path:
        def fill(folder: Path) -> None:
            if result is None:
                raise _NoResultError
            result.write(folder)

        called = f"scores_{re.sub(r'[^A-Za-z0-9]+', '_', name)}_{self._digests[name]}"
        return self._stage.memo(called, self._version, {"model": self._model}, fill)


class _NoResultError(Exception):
    """No evaluation has kept the result."""
