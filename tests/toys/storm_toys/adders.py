"""Components that make a number of a number."""

import time

from storm_exp import Cost, SettingError, StageContext, component
from storm_models.estimate.hardware import GIB, Hardware
from storm_toys.value import Value, ValueSpec, write_value


@component("adder", "add", version=1)
class Add:
    """The number plus an amount."""

    amount: float = 1.0
    """What is added."""

    def plan_spec(self, number: ValueSpec) -> ValueSpec:
        if number.value is None:
            return ValueSpec()
        if number.value + self.amount > 100:
            raise SettingError("amount", self.amount, "the sum would be more than 100")
        return ValueSpec(value=number.value + self.amount)

    def run(self, stage: StageContext, number: Value) -> Value:
        return write_value(stage, number.read() + self.amount)


@component("adder", "costly", version=1)
class Costly(Add):
    """As `add`, on a card, in an hour of an h100 and 60 GiB divided among the devices."""

    def cost(self, hardware: Hardware, number: ValueSpec, spec: ValueSpec) -> Cost:
        return Cost(
            tokens=number.value,
            flops=989e12 * 0.4 * 3600,
            memory=60 * GIB / (hardware.devices if hardware.sharded else 1),
            disk=spec.value,
            assumes="a toy",
        )

    def run(self, stage: StageContext, number: Value) -> Value:
        return write_value(stage, number.read() + self.amount)


@component("adder", "of_unknown_length", version=1)
class OfUnknownLength(Add):
    """As `add`, on a card, and nobody knows for how long."""

    def cost(self) -> Cost:
        return Cost(memory=GIB)


@component("adder", "weighted", version=1)
class Weighted:
    """The number times a weight, which may be another number."""

    doubled: bool = False
    """Whether the weight is 2, whatever stands at the port."""

    def idle_ports(self) -> set[str]:
        return {"weight"} if self.doubled else set()

    def run(self, stage: StageContext, number: Value, weight: Value | None = None) -> Value:
        return write_value(stage, number.read() * (weight.read() if weight else 2.0))


@component("adder", "fussy", version=1)
class Fussy:
    """Fails while it runs, when the number is too large."""

    limit: float = 5.0

    def run(self, stage: StageContext, number: Value) -> Value:
        if number.read() > self.limit:
            raise ArithmeticError("that is too much")
        return write_value(stage, number.read())


@component("adder", "slow", version=1)
class Slow:
    """Takes its time."""

    seconds: float = 0.2

    def run(self, stage: StageContext, number: Value) -> Value:
        (stage.scratch / "begun").touch()
        time.sleep(self.seconds)
        return write_value(stage, number.read())


@component("adder", "counting", version=1)
class Counting:
    """Takes its time, and says how far it is."""

    seconds: float = 0.2

    def run(self, stage: StageContext, number: Value) -> Value:
        (stage.scratch / "begun").touch()
        steps = round(self.seconds / 0.05)
        with stage.progress(steps, "steps") as progress:
            for _ in range(steps):
                time.sleep(0.05)
                progress.advance()
        return write_value(stage, number.read())


@component("adder", "patient", version=1)
class Patient:
    """Counts its attempts in scratch, and fails until the last."""

    attempts: int = 2

    def run(self, stage: StageContext, number: Value) -> Value:
        (stage.scratch / f"attempt-{len(list(stage.scratch.iterdir()))}").touch()
        done = len(list(stage.scratch.iterdir()))
        if done < self.attempts:
            raise RuntimeError(f"attempt {done} of {self.attempts}")
        return write_value(stage, number.read() + done)
