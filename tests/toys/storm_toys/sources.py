"""Components without ports."""

import dataclasses
import enum
import random
from pathlib import Path
from typing import Any

from omegaconf import II

from storm_exp import FileDigests, SettingError, StageContext, component, setting
from storm_toys.value import Text, Value, ValueSpec, write_value


@component("source", "number", version=1)
class Number:
    """A number that is given."""

    value: float = 1.0
    """The number, at most 1000."""

    def __post_init__(self) -> None:
        if self.value > 1000:
            raise SettingError("value", self.value, "must be at most 1000")

    def plan_spec(self) -> ValueSpec:
        return ValueSpec(value=self.value)

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, self.value)


@component("source", "drawn", version=1)
class Drawn:
    """A number drawn at random."""

    seed: int = II("seed")

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, random.Random(self.seed).randrange(80))


class Shape(enum.Enum):
    ROUND = "round"
    SQUARE = "square"


@dataclasses.dataclass
class Inner:
    depth: int = 2
    names: list[str] = dataclasses.field(default_factory=lambda: ["a"])


@component("source", "settled", version=3)
class Settled:
    """A component with settings of every kind."""

    ratio: float = 0.5
    count: int = 4
    title: str | None = None
    shape: Shape = Shape.ROUND
    parts: list[int] = setting([1, 2])
    weights: dict[str, float] = setting({"x": 1.0})
    inner: Inner = setting(Inner)
    workers: int = setting(1, semantic=False)
    """How many work at it: cannot change the result."""
    margin: int = setting(0, neutral=0)

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, self.ratio * self.count)


@component("source", "from_file", version=1)
class FromFile:
    """A number in a file outside the store, wherever it lies."""

    path: str = setting("???", semantic=False)
    """A file that holds a number."""

    def fingerprint(self, files: FileDigests) -> Any:
        if not Path(self.path).is_file():
            raise SettingError("path", self.path, "there is no such file")
        return files.digest(self.path)

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, float(Path(self.path).read_text(encoding="utf-8")))


@dataclasses.dataclass
class Located:
    path: str = setting("???", semantic=False)
    margin: int = setting(0, neutral=0)


@component("source", "from_nested", version=1)
class FromNested:
    """As `from_file`, with the file in a setting of a setting."""

    place: Located = setting(Located)

    def fingerprint(self, files: FileDigests) -> Any:
        return files.digest(self.place.path)

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, float(Path(self.place.path).read_text(encoding="utf-8")))


@component("source", "adopted", version=1)
class Adopted:
    """A finished artifact outside the store, taken where it lies."""

    path: str = setting("???", semantic=False)

    def fingerprint(self, files: FileDigests) -> Any:
        return files.digest(Path(self.path) / "value.json")

    def run(self, stage: StageContext) -> Value:
        return Value(stage.adopt(Path(self.path), ["value.json"]))


@component("source", "linked", version=1)
class Linked(Adopted):
    """As `adopted`, by a link to the file."""

    def run(self, stage: StageContext) -> Value:
        stage.link(Path(self.path) / "value.json")
        return Value(stage.directory)


@component("source", "unavailable", version=1, requires=("no_such_package",), extra="rare")
class Unavailable:
    """A component whose package is not installed."""

    def run(self, stage: StageContext) -> Value:
        import no_such_package

        return no_such_package.value()


@component("source", "word", version=1)
class Word:
    """A text, which nothing here can add."""

    def run(self, stage: StageContext) -> Text:
        (stage.directory / "text.txt").write_text("word", encoding="utf-8")
        return Text(stage.directory)
