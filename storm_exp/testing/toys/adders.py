"""Components that make a number of a number."""

from __future__ import annotations

import time

from storm_exp import SettingError, StageContext, component
from storm_exp.testing.toys.value import Value, ValueSpec, write_value


@component("adder", "add", version=1)
class Add:
    """The number plus an amount; their sum is at most 100."""

    amount: float = 1.0
    """What is added."""

    def plan_spec(self, number: ValueSpec) -> ValueSpec:
        """Say the sum, where the number is known; raises SettingError for one that is too large."""
        if number.value is None:
            return ValueSpec()
        if number.value + self.amount > 100:
            raise SettingError("amount", self.amount, "the sum would be more than 100")
        return ValueSpec(value=number.value + self.amount)

    def run(self, stage: StageContext, number: Value) -> Value:
        """Write the sum."""
        return write_value(stage, number.read() + self.amount)


@component("adder", "weighted", version=1)
class Weighted:
    """The number times a weight, which may be another number."""

    doubled: bool = False
    """Whether the weight is 2, whatever stands at the port."""

    def idle_ports(self) -> set[str]:
        """Say that a weight is not needed where it is 2."""
        return {"weight"} if self.doubled else set()

    def run(self, stage: StageContext, number: Value, weight: Value | None = None) -> Value:
        """Write the product."""
        return write_value(stage, number.read() * (weight.read() if weight else 2.0))


@component("adder", "fussy", version=1)
class Fussy:
    """The number, and a failure in the midst of the run where it is too large."""

    limit: float = 5.0
    """The largest number that does not fail."""

    def run(self, stage: StageContext, number: Value) -> Value:
        """Write the number; raises ArithmeticError above the limit."""
        if number.read() > self.limit:
            raise ArithmeticError("that is too much")
        return write_value(stage, number.read())


@component("adder", "slow", version=1)
class Slow:
    """The number, after a while."""

    seconds: float = 0.2
    """How long it takes."""

    def run(self, stage: StageContext, number: Value) -> Value:
        """Leave the file `begun` in scratch, wait, write the number."""
        (stage.scratch / "begun").touch()
        time.sleep(self.seconds)
        return write_value(stage, number.read())
