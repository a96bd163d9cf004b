"""A component that collects."""

from storm_exp import StageContext, component
from storm_toys.value import Value, ValueSpec, write_value


@component("total", "collect", version=1)
class Collect:
    """The sum of all numbers."""

    factor: float = 1.0

    def plan_spec(self, numbers: list[ValueSpec]) -> ValueSpec:
        known = [number.value for number in numbers if number.value is not None]
        return ValueSpec(value=sum(known) if len(known) == len(numbers) else None)

    def run(self, stage: StageContext, numbers: list[Value]) -> Value:
        return write_value(stage, self.factor * sum(number.read() for number in numbers))
