"""Components that make a number of a number: at a cost, and at their own pace."""

import time

from storm_exp import Cost, StageContext, component
from storm_exp.testing.toys import Add, Value, ValueSpec, write_value
from storm_models.estimate.hardware import GIB, Hardware


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
