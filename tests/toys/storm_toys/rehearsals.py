"""Components that declare how they are rehearsed."""

from __future__ import annotations

import dataclasses

from storm_exp import Rehearsed, StageContext, component
from storm_exp.testing.toys import Text, Value, ValueSpec, write_value


@component("source", "stand_in", version=1)
class StandIn:
    """A substitute for a large number: a tenth of it."""

    value: float = 0.0

    def plan_spec(self) -> ValueSpec:
        return ValueSpec(value=self.value)

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, self.value)


@component("source", "large", version=1)
class Large:
    """A number that is too large to be made here."""

    value: float = 50.0

    def plan_spec(self) -> ValueSpec:
        return ValueSpec(value=self.value)

    def run(self, stage: StageContext) -> Value:
        raise MemoryError("that is too large")

    def rehearsal(self) -> StandIn:
        return StandIn(value=self.value / 10)

    def not_rehearsed(self) -> list[str]:
        return ["whether there is room for a large number"]


@component("adder", "proportional", version=1)
class Proportional:
    """The number plus an amount, which a rehearsal scales with the number."""

    amount: float = 1000.0
    again: int = 1

    def run(self, stage: StageContext, number: Value) -> Value:
        return write_value(stage, number.read() + self.amount * self.again)

    def rehearsal(self, number: Rehearsed[ValueSpec]) -> Proportional:
        assert number.real.value and number.twin.value
        ratio = number.twin.value / number.real.value
        return dataclasses.replace(self, amount=self.amount * ratio)


@component("adder", "badly_rehearsed", version=1)
class BadlyRehearsed(Proportional):
    """A component whose rehearsal breaks the contract."""

    def run(self, stage: StageContext, number: Value) -> Value:
        return write_value(stage, number.read())

    def rehearsal(self, number: Rehearsed[ValueSpec]) -> Words:
        return Words()


@component("source", "words", version=1)
class Words:
    """A text, which cannot be added."""

    def run(self, stage: StageContext) -> Text:
        return Text(stage.directory)
