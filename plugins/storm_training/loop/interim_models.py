"""The models of a training after some of its steps, each kept for the stage that stops there."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from storm_exp import Artifact, Manifest, StageContext, evict
from storm_training.loop.training_log import TrainingLog

VERSION = 1
"""To be raised when the same training keeps other files."""

_MODEL = "model"
"""The subfolder of a memo that has the files."""

Fill = Callable[[Path, TrainingLog], object]
"""Function that writes all files of a stage that stopped at the end of a log into a folder."""


@dataclasses.dataclass
class InterimModels:
    """Finished stages, as memos of what the training was made from.

    A training keeps them in passing. The stage that stops there takes them, or trains itself if
    nobody has: either way they have the same bits.
    """

    stage: StageContext
    trajectory: str
    """Digest of the settings that determine the steps."""
    inputs: Mapping[str, Artifact]
    """Artifacts that determine the steps."""
    steps: list[int]
    """The steps whose models are kept."""
    write: Fill | None = None
    """Writes a model; unknown until it is loaded."""
    folders: dict[int, Path] = dataclasses.field(default_factory=dict)
    """Where the models are that were found or kept here."""

    def find(self, step: int) -> Path | None:
        """Return the folder with the model of a step; None if it is not kept."""
        if step not in self.folders and self.stage.keeps(*self.inputs.values()):
            try:
                self._keep(step, _nothing)
            except _NotKeptError:
                return None
        return self.folders.get(step)

    def keep(self, step: int, log: TrainingLog) -> None:
        """Keep the model as it is after a step, with a log that ends there."""
        write = self.write
        assert write is not None

        def fill(folder: Path) -> None:
            (folder / _MODEL).mkdir()
            write(folder / _MODEL, log)

        self._keep(step, fill)

    def take(self, step: int) -> None:
        """Put the files of a step's model into the stage's directory, as hard links if possible.

        The memo is evicted: nobody else has a use for it, and it would hold the room of the files
        when the stage's own are collected.
        """
        source = self.folders[step] / _MODEL
        for file in sorted(source.rglob("*")):
            target = self.stage.directory / file.relative_to(source)
            if file.is_dir():
                target.mkdir()
                continue
            try:
                os.link(file, target)
            except OSError:  # a file system without hard links
                shutil.copyfile(file, target)
        if manifest := Manifest.read(self.folders[step]):
            evict(self.folders[step], manifest)

    def _keep(self, step: int, fill: Callable[[Path], None]) -> None:
        name = f"interim_{step}_{self.trajectory}"
        self.folders[step] = self.stage.memo(name, VERSION, dict(self.inputs), fill)


class _NotKeptError(Exception):
    """No training has kept the model."""


def _nothing(folder: Path) -> None:
    raise _NotKeptError
