"""Components without ports: settings of every kind, and files wherever they lie."""

import dataclasses
import enum
from pathlib import Path
from typing import Any

from storm_exp import FileDigests, SettingError, StageContext, component, setting
from storm_exp.testing.toys import Value, write_value


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
    """A folder with `value.json`."""

    def fingerprint(self, files: FileDigests) -> Any:
        file = Path(self.path) / "value.json"
        if not file.is_file():
            raise SettingError("path", self.path, "there is no number")
        return files.digest(file)

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
