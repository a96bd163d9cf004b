"""A component that collects."""

from __future__ import annotations

from storm_exp import StageContext, component
from storm_exp.testing.toys.value import Value, ValueSpec, write_value


@component("total", "collect", version=1)
class Collect:
    """The sum of all numbers, times a factor."""

    factor: float = 1.0
    """What the sum is multiplied with."""

    def plan_spec(self, numbers: list[ValueSpec]) -> ValueSpec:
        """Say the sum, where all numbers are known."""
        known = [number.value for number in numbers if number.value is not None]
        if len(known) < len(numbers):
            return ValueSpec()
        return ValueSpec(value=self.factor * sum(known))

    def run(self, stage: StageContext, numbers: list[Value]) -> Value:
        """Write the sum."""
        return write_value(stage, self.factor * sum(number.read() for number in numbers))
