"""Components whose artifacts have more than a number in a JSON file."""

import os

from storm_exp import StageContext, component, setting
from storm_exp.testing.toys import Add, Value, write_value


class Stored(Value):
    """A number with a large file beside it."""

    shown_as = "model"


@component("adder", "stored", version=1)
class Storing(Add):
    """As `add`, with a file of zeros; TOY_SALT in the environment makes it another one."""

    kilobytes: int = setting(2000, at_least=0)

    def run(self, stage: StageContext, number: Value) -> Stored:
        salt = os.environ.get("TOY_SALT", "").encode()
        (stage.directory / "payload.bin").write_bytes(salt.ljust(1000 * self.kilobytes, b"\0"))
        write_value(stage, number.read() + self.amount)
        stage.metric("value", number.read() + self.amount, main=True, on="the same rows")
        return Stored(stage.directory)


@component("total", "referring", version=1)
class Referring:
    """The sum of numbers, which cannot be read without the artifacts that it was made of."""

    def run(self, stage: StageContext, numbers: list[Value]) -> Value:
        for number in numbers:
            stage.reference(number)
        return write_value(stage, sum(number.read() for number in numbers))
