"""Results of one model by task, each of which is kept by itself, for every evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from storm_evaluation.harness.model_memos import ModelMemos
from storm_evaluation.harness.task_result import TaskResult


class KeptResults:
    """The results of leaf tasks as memos of the model.

    Several workers may look for a result. Only one may keep it.
    """

    def __init__(self, memos: ModelMemos, digests: Mapping[str, str]) -> None:
        """Look for the results of tasks, given by the digest of what each depends on."""
        self._memos, self._digests = memos, digests
        self._folders: dict[str, Path] = {}
        for name in digests:
            if folder := memos.find(self._called(name)):
                self._folders[name] = folder

    def missing(self) -> list[str]:
        """Return the names of the tasks without a result."""
        return [name for name in self._digests if name not in self._folders]

    def keep(self, result: TaskResult) -> None:
        """Keep a task's result."""
        self._folders[result.task] = self._memos.keep(self._called(result.task), result.write)

    def results(self) -> dict[str, TaskResult]:
        """Return the result of every task, in the order in which they were given."""
        return {name: TaskResult.read(self._folders[name]) for name in self._digests}

    def _called(self, task: str) -> str:
        return self._memos.name("scores", task, self._digests[task])
