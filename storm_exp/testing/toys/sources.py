"""Components without ports: a number that is given, drawn or read, and a text."""

from __future__ import annotations

import random
from pathlib import Path

from omegaconf import II

from storm_exp import FileDigests, SettingError, StageContext, component, setting
from storm_exp.testing.toys.value import Text, Value, ValueSpec, write_value


@component("source", "number", version=1)
class Number:
    """A number that is given."""

    value: float = 1.0
    """The number, at most 1000."""

    def __post_init__(self) -> None:
        """Raise SettingError for a number that is too large."""
        if self.value > 1000:
            raise SettingError("value", self.value, "must be at most 1000")

    def plan_spec(self) -> ValueSpec:
        """Say the number."""
        return ValueSpec(value=self.value)

    def run(self, stage: StageContext) -> Value:
        """Write the number."""
        return write_value(stage, self.value)


@component("source", "drawn", version=1)
class Drawn:
    """A number drawn at random: a whole one below 80."""

    seed: int = II("seed")
    """What the draw follows from."""

    def run(self, stage: StageContext) -> Value:
        """Draw and write the number."""
        return write_value(stage, random.Random(self.seed).randrange(80))


@component("source", "from_file", version=1)
class FromFile:
    """A number in a file outside the store, wherever it lies."""

    path: str = setting("???", semantic=False)
    """A file that holds a number."""

    def fingerprint(self, files: FileDigests) -> str:
        """Return the digest of the file; raises SettingError where there is none."""
        if not Path(self.path).is_file():
            raise SettingError("path", self.path, "there is no such file")
        return files.digest(self.path)

    def run(self, stage: StageContext) -> Value:
        """Read and write the number."""
        return write_value(stage, float(Path(self.path).read_text(encoding="utf-8")))


@component("source", "word", version=1)
class Word:
    """A text, which nothing here can add."""

    def run(self, stage: StageContext) -> Text:
        """Write the text."""
        (stage.directory / "text.txt").write_text("word", encoding="utf-8")
        return Text(stage.directory)
