"""Evaluations whose requests are counted."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from storm_evaluation.harness.language_model import HarnessModel
from storm_evaluation.harness.lm_eval import LmEval
from storm_exp import Runtime, Store, value_digest
from storm_exp._store.artifact_maker import Maker
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint


class Evaluating:
    """Evaluations in one store, and the number of requests that each answers."""

    def __init__(self, folder: Path, tasks: Path) -> None:
        self.folder, self.tasks, self.asked, self.dies_at = folder, tasks, 0, math.inf
        self._maker = Maker(Store(folder / "store"), Runtime(device="cpu", threads=1))

    def __call__(
        self, model: Checkpoint, *tasks: str, stage: str = "", **settings: object
    ) -> dict[str, bytes]:
        """Return the files of an evaluation in a new stage, or in one that was interrupted."""
        self.asked = 0
        stage = make_stage(self.folder, stage or f"stage-{len(list(self.folder.iterdir()))}")
        stage.keep_memo = self._maker.memo
        settings = {"task_folder": str(self.tasks), "limit": 4, "max_new_tokens": 4, **settings}
        evaluation = LmEval(tasks=list(tasks), **settings).run(stage, model)
        assert sum(1 for _ in evaluation.samples()) == evaluation.spec().documents
        return {file.name: file.read_bytes() for file in evaluation.directory.iterdir()}


@pytest.fixture
def folder(task_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(task_folder, tmp_path / "tasks"))


@pytest.fixture
def evaluating(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluating:
    (tmp_path / "work").mkdir()
    made = Evaluating(tmp_path / "work", folder)
    divided = HarnessModel._divided

    def counting(self, kind, requests, shards, answer):
        def counted(batch):
            if made.asked >= made.dies_at:
                raise KeyboardInterrupt
            made.asked += len(batch)
            return answer(batch)

        return divided(self, kind, requests, shards, counted)

    monkeypatch.setattr(HarnessModel, "_divided", counting)
    return made


@pytest.fixture
def model(checkpoint: Checkpoint) -> Checkpoint:
    return Checkpoint(checkpoint.directory, value_digest("model"))
