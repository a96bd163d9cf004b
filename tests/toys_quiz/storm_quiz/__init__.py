"""A plugin for tests of races: an evaluation of a number, in milliseconds.

This folder looks as `pip install --target` leaves one (tests/toys/README.md).
"""

from __future__ import annotations

import random
from pathlib import Path

from omegaconf import II

from storm_evaluation.evaluation import Evaluation, EvaluationSpec
from storm_evaluation.reported_metrics import report_metrics
from storm_evaluation.sample import Sample
from storm_exp import StageContext, component, hookimpl, setting
from storm_exp.testing.toys import Value, ValueSpec
from storm_exp.testing.toys.value import write_value

storm_api = ">=1,<2"


@component("adder", "trained", version=1)
class Trained:
    """Adds a part of an amount at every step."""

    amount: float = 0.5
    steps: int = 100
    """Of the 100 that it takes to add all."""

    def plan_spec(self, number: ValueSpec) -> ValueSpec:
        """Say that the sum is not known beforehand."""
        return ValueSpec()

    def run(self, stage: StageContext, number: Value) -> Value:
        """Write the sum."""
        return write_value(stage, number.read() + self.amount * self.steps / 100)


@component("evaluator", "quiz", version=1)
class Quiz:
    """Questions on two subjects; a number of 1 answers all of them."""

    limit: int | None = setting(None, at_least=1)
    """The most questions of each subject, of 120."""
    run_sd: float = 0.0
    """Standard deviation of the number over seeds."""
    breaks_at: float = 2.0
    """A number from which on the evaluation fails."""
    seed: int = II("seed")
    """Seed of the run."""

    def plan_spec(self, number: ValueSpec) -> EvaluationSpec:
        """Say the subjects."""
        return EvaluationSpec(tasks=["sums", "words"])

    def run(self, stage: StageContext, number: Value) -> Evaluation:
        """Answer the questions that are easier than the number.

        It is interrupted at 100 questions where the working folder has a file `stop`.
        """
        value = number.read()
        if value >= self.breaks_at:
            raise ArithmeticError("the number is too good")
        if self.limit == 100 and Path("stop").exists():
            raise KeyboardInterrupt
        value += random.Random(self.seed).gauss(0, self.run_sd)
        samples = [
            Sample(task=task, document=f"{n}", score=float(_difficulty(task, n) < value))
            for task in ("sums", "words")
            for n in range(min(self.limit or 120, 120))
        ]
        evaluation = Evaluation(stage.directory)
        metrics = {"sums": ("acc", True), "words": ("acc", True)}
        evaluation.write(metrics, samples, {}, "quiz 1")
        report_metrics(stage, evaluation)
        return evaluation


def _difficulty(task: str, number: int) -> float:
    return random.Random(f"{task} {number}").random()


@hookimpl
def storm_components() -> list[type]:
    """Return the components."""
    return [Quiz, Trained]


@hookimpl
def storm_config_folder() -> str:
    """Return the folder with the recipe."""
    return str(Path(__file__).parent / "conf")
