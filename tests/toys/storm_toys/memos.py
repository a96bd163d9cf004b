"""A component that keeps by-products beside what it makes."""

from pathlib import Path

from storm_exp import Memos, StageContext, component
from storm_exp.testing.toys import Value, write_value


class Remembered(Value):
    """A number, which a run of one recipe writes out as a text too."""

    def materialise(self, stage: Memos) -> Value:
        def fill(folder: Path) -> None:
            (folder / "value.json").write_text(str(self.read()), encoding="utf-8")
            (folder / "value.txt").write_text(f"{self.read():g}", encoding="utf-8")

        return Value(stage.memo("in words", 1, {"of": self}, fill))


@component("adder", "remembering", version=1)
class Remembering:
    """The number plus its half, which is kept for the next stage that asks."""

    amount: float = 0.0
    """What is added besides."""

    def run(self, stage: StageContext, number: Value) -> Remembered:
        def fill(folder: Path) -> None:
            (folder / "half.txt").write_text(str(number.read() / 2), encoding="utf-8")

        half = stage.memo("half", 1, {"of": number}, fill) / "half.txt"
        write_value(stage, number.read() + float(half.read_text("utf-8")) + self.amount)
        return Remembered(stage.directory)
