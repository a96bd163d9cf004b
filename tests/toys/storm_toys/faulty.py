"""Components that break one rule each; what no plan would take is in no plugin."""

import random
import time
from typing import Any

from omegaconf import II

from storm_exp import Artifact, InputError, SettingError, StageContext, component
from storm_exp.testing.toys import Text, Value, ValueSpec, write_value

STATE = {"ready": False}


@component("faulty", "undescribed", version=1)
class Undescribed:
    def run(self, stage: StageContext) -> Value:
        return write_value(stage, 1)


@component("faulty", "silent", version=1)
class Silent:
    """A number."""

    value: float = 1.0

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, self.value)


@component("faulty", "takes_anything", version=1)
class TakesAnything:
    """How many files an artifact has."""

    def run(self, stage: StageContext, thing: Artifact) -> Value:
        return write_value(stage, len(list(thing.directory.iterdir())))


@component("faulty", "plans_another_port", version=1)
class PlansAnotherPort:
    """The number."""

    def plan_spec(self, value: ValueSpec) -> ValueSpec:
        return value

    def run(self, stage: StageContext, number: Value) -> Value:
        return write_value(stage, number.read())


@component("faulty", "plans_what_may_be_missing", version=1)
class PlansWhatMayBeMissing:
    """The number, or none."""

    def plan_spec(self, number: ValueSpec) -> ValueSpec:
        return number

    def run(self, stage: StageContext, number: Value | None = None) -> Value:
        return write_value(stage, number.read() if number else 0)


@component("faulty", "refuses_by_value_error", version=1)
class RefusesByValueError:
    """A number."""

    value: float = 1.0
    """The number, not negative."""

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError("must not be negative")

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, self.value)


@component("faulty", "divides_by_it", version=1)
class DividesByIt:
    """The inverse of a number."""

    value: float = 1.0
    """The number."""

    def plan_spec(self) -> ValueSpec:
        return ValueSpec(value=1 / self.value)

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, 1 / self.value)


@component("faulty", "names_no_setting", version=1)
class NamesNoSetting:
    """A number."""

    value: float = 1.0
    """The number, not negative."""

    def plan_spec(self) -> ValueSpec:
        if self.value < 0:
            raise InputError("that is too little")
        return ValueSpec(value=self.value)

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, self.value)


@component("faulty", "names_another_setting", version=1)
class NamesAnotherSetting:
    """A number."""

    value: float = 1.0
    """The number, not negative."""

    def __post_init__(self) -> None:
        if self.value < 0:
            raise SettingError("amount", self.value, "must not be negative")

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, self.value)


@component("total", "plans_otherwise", version=1)
class PlansOtherwise:
    """The sum of numbers, times a factor that its plan forgets."""

    factor: float = 2.0
    """What the sum is multiplied with."""

    def plan_spec(self, numbers: list[ValueSpec]) -> ValueSpec:
        return ValueSpec(value=sum(number.value or 0.0 for number in numbers))

    def run(self, stage: StageContext, numbers: list[Value]) -> Value:
        return write_value(stage, self.factor * sum(number.read() for number in numbers))


@component("faulty", "makes_another_type", version=1)
class MakesAnotherType:
    """A text, which it says is a number."""

    def run(self, stage: StageContext) -> Value:
        made: Any = Text(stage.directory)
        return made


@component("faulty", "imports_when_planned", version=1)
class ImportsWhenPlanned:
    """A number."""

    def plan_spec(self) -> ValueSpec:
        import numpy

        return ValueSpec(value=float(numpy.float64(1)))

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, 1)


@component("faulty", "depends_on_the_process", version=1)
class DependsOnTheProcess:
    """A number, once somebody made this process ready."""

    def run(self, stage: StageContext) -> Value:
        if not STATE["ready"]:
            raise RuntimeError("nobody made this process ready")
        return write_value(stage, 1)


@component("faulty", "draws_anew", version=1)
class DrawsAnew:
    """A number drawn at random, whatever its seed."""

    seed: int = II("seed")
    """What the draw does not follow from."""

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, random.random())


@component("faulty", "tells_the_time", version=1)
class TellsTheTime:
    """The time."""

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, time.time_ns())


@component("faulty", "tells_the_place", version=1)
class TellsThePlace:
    """A text that says where it is."""

    def run(self, stage: StageContext) -> Text:
        (stage.directory / "text.txt").write_text(str(stage.directory), encoding="utf-8")
        return Text(stage.directory)


@component("faulty", "writes_a_set", version=1)
class WritesASet:
    """A text of words in no order."""

    def run(self, stage: StageContext) -> Text:
        words = {"ash", "birch", "cedar", "elm", "fir", "larch", "oak", "pine", "yew"}
        (stage.directory / "text.txt").write_text(" ".join(words), encoding="utf-8")
        return Text(stage.directory)
