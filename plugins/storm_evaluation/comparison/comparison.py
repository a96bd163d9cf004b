"""The artifact of a comparison: scores of several models and paired differences."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from storm_exp import Artifact, InputError, Spec
from storm_report.counted import counted

NO_EFFECT, UNDECIDED = "no effect", "undecided"
"""Verdicts where neither model is better: the interval is within the margin, or is not."""


def shown_interval(low: float, high: float, shown: str) -> str:
    """Return an interval as it is shown, or what there is in place of one that has no width.

    Where all answers have the same scores, nothing tells how often others would differ.
    """
    return shown if low < high else "(no answer differs)"


def by_holm(verdict: str, low: float, high: float) -> str:
    """Return words that follow a verdict to which the interval that is shown does not lead.

    Verdicts are by p-values that Holm's method corrects step by step; an interval holds for all
    effects at once, or for its own alone, so either may leave out zero where the other does not.
    """
    decided = verdict not in (NO_EFFECT, UNDECIDED)
    told = verdict != NO_EFFECT and decided != (low > 0 or high < 0)
    return " by Holm's p" if told else ""


@dataclasses.dataclass(kw_only=True)
class ComparisonSpec(Spec):
    """What is known of a comparison before its evaluations exist."""

    models: int | None = None
    tasks: list[str] | None = None

    def summary(self) -> str:
        """Return, for example, `5 models, 4 tasks`."""
        if self.models is None:
            return ""
        tasks = f", {counted(len(self.tasks), 'task')}" if self.tasks else ""
        return counted(self.models, "model") + tasks


class Comparison(Artifact):
    """`comparison.json`: scores and paired differences.

    Models are numbered from 0 in the order of the port; the record of a run maps numbers to names
    of stages. The file holds
    - `models`, their number, `runs`, how often each was trained, and `best`, the number of the one
      with the highest mean;
    - `tasks`: per task `metric`, `higher_is_better`, `n`, `scores` (a list of {score, stderr});
    - `mean`: a list of {score, stderr} over the tasks in which higher is better, or null, and
      `loss`, the same over the others; for several runs with `by_run`, the score of each;
    - `against_first` and `pairs`: lists of {first, second, tasks: {task: difference}, mean, loss};
    - a difference: `difference` (second − first), `low`, `high`, `p`, `p_holm`, `test`, `better`
      (number of the model that is better after Holm's correction, or null), `equivalence` (the
      interval of two one-sided tests) and `verdict` (on the second model: better, worse, no effect,
      undecided). Means of single runs also have `clustered_stderr`, differences over several runs
      `together`, the simultaneous interval for all arms against the first.
    """

    spec_type = ComparisonSpec

    def summary(self) -> dict[str, Any]:
        """Return comparison.json; raises InputError when it cannot be read."""
        file = self.directory / "comparison.json"
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{self.directory}: no readable comparison.json ({error})") from error
        if not isinstance(content, dict):
            raise InputError(f"{file}: expected a JSON object")
        return content

    def write(self, content: dict[str, Any]) -> None:
        """Write comparison.json."""
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        (self.directory / "comparison.json").write_text(text + "\n", encoding="utf-8")

    def spec(self) -> ComparisonSpec:
        """Read the number of models and the names of the tasks."""
        content = self.summary()
        return ComparisonSpec(models=content["models"], tasks=list(content["tasks"]))
