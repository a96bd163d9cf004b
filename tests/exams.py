"""A plugin for tests: numbers that answer questions, and one that depends on the threads."""

from __future__ import annotations

import os
from pathlib import Path

from storm_evaluation.evaluation import Evaluation, Sample
from storm_exp import StageContext, component, hookimpl
from storm_exp.testing.toys import Value, write_value

storm_api = ">=1,<2"
RECIPE = """# @package _global_
defaults:
  - /source: number
  - /adder: drifting
  - /total: collect
  - /examiner: exam
graph:
  adder: {number: source}
  total: {numbers: [source, adder]}
  examiner: {number: [adder, total]}
targets: []
source: {value: 40}
"""


@component("adder", "drifting", version=1)
class Drifting:
    """The number, and for every thread of arithmetic a little more."""

    drift: float = 1e-9
    """What a thread adds."""

    def run(self, stage: StageContext, number: Value) -> Value:
        """Write the sum."""
        threads = int(os.environ["OMP_NUM_THREADS"])
        return write_value(stage, number.read() + threads * self.drift)


@component("examiner", "exam", version=1)
class Exam:
    """Asks a number which of the numbers below 100 are smaller than it."""

    questions: int = 600
    """How many."""

    def run(self, stage: StageContext, number: Value) -> Evaluation:
        """Write answers and scores."""
        value = number.read()
        samples = []
        for asked in range(self.questions):
            right = asked * 37 % 100 < value
            sample = Sample(
                task="smaller",
                document=f"{asked:016x}",
                score=float(right),
                prompt=f"Is <b>{asked * 37 % 100}</b> smaller?",
                prediction="yes" if right else "no",
                target="yes",
            )
            samples.append(sample)
        evaluation = Evaluation(stage.directory)
        evaluation.write({"smaller": ("acc", True)}, samples, {}, "exam")
        return evaluation


@hookimpl
def storm_components() -> list[type]:
    """Return the components of this plugin."""
    return [Drifting, Exam]


def write_recipe(folder: Path) -> list[str]:
    """Write the recipe `exam` below a folder; return the words that run it."""
    file = folder / "conf" / "recipe" / "exam.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(RECIPE, encoding="utf-8")
    return ["recipe=exam", "-cd", str(folder / "conf")]
