"""The curator `mistakes`: rows that the model to be tuned gets wrong, as in Birbal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from storm_curation.selection.splitting import Splitting, curated_spec
from storm_curation.selection.verdict import Rejection, Verdict
from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import InputError, SettingError, StageContext, component, setting

if TYPE_CHECKING:
    from storm_curation.selection.mistakes import Attempt

_TENTHS = 10


@component("curator", "mistakes", version=2)
class Mistakes(Splitting):
    """Keeps rows that the model answered wrongly, more of tasks with a lower accuracy.

    The port `answers` has the same rows with the model's answers, from the stage `answers`. In a
    task with short answers, only the exact answer is right, and the task's accuracy decides how
    many of the missed rows are drawn. With long answers, the ROUGE-L between the model's answer and
    the right one decides the share of rows that is kept. Numbers and shares are those of Birbal's
    authors (their data_prep/, arXiv 2403.02247), who divided the tasks by hand.
    """

    task_column: str = "source"
    """The column that names a row's task."""
    exact_words: float = setting(3.0, above=0)
    """The most words of a task's right answers, on average, for it to be scored by exact match;
    tasks with longer answers are scored by ROUGE-L."""
    accuracy_rows: list[int] = setting(
        [350, 350, 300, 300, 250, 250, 200, 150, 100, 50], at_least=0, unit="rows"
    )
    """Rows to keep of an exact-match task by tenths of its accuracy, the lowest first."""
    rouge_shares: list[float] = setting(
        [0.8, 0.8, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.0, 0.0], at_least=0, at_most=1
    )
    """Share of rows to keep of other tasks by tenths of their ROUGE-L, the lowest first."""
    factor: float = setting(1.0, above=0)
    """Factor on `accuracy_rows`."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        self.check_sizes()
        for name in ("accuracy_rows", "rouge_shares"):
            values = getattr(self, name)
            if len(values) != _TENTHS:
                raise SettingError(name, values, f"needs {_TENTHS} numbers, one for each tenth")
            if not max(values) > 0:
                raise SettingError(name, values, "needs a number above 0")

    def plan_spec(self, data: DatasetSpec, answers: DatasetSpec) -> DatasetSpec:
        """Return at most the rows of `data`; raises SettingError without the task column."""
        for name, spec in (("data", data), ("answers", answers)):
            if spec.columns is not None and "messages" not in spec.columns:
                raise InputError(f"the port '{name}' needs chats (column 'messages')")
        if data.columns is not None and self.task_column not in data.columns:
            problem = f"the data has the columns {', '.join(data.columns)}"
            raise SettingError("task_column", self.task_column, problem)
        return curated_spec(self, data)

    def run(self, stage: StageContext, data: Dataset, answers: Dataset) -> Dataset:
        """Compare the answers with the right ones, and select among the missed rows."""
        from storm_curation.selection.curated_dataset import divide
        from storm_curation.selection.mistakes import STEPS, Attempt, attempts_by_row

        attempts = attempts_by_row(data, answers)
        verdicts: list[Verdict] = [
            None if isinstance(attempt, Attempt) else Rejection("asked", attempt)
            for attempt in attempts
        ]
        tasks: dict[str, dict[int, Attempt]] = {}
        names = [str(row[self.task_column]) for row in data.rows("train")]
        for number in self.draw_order(len(attempts)):
            if isinstance(attempt := attempts[number], Attempt):
                tasks.setdefault(names[number], {})[number] = attempt
        summary: dict[str, dict[str, Any]] = {}
        for task, attempted in sorted(tasks.items()):
            chosen, summary[task] = self._choose(attempted)
            for number, verdict in chosen.items():
                verdicts[number] = verdict
        curated = divide(self, stage, data, verdicts, STEPS)
        text = json.dumps(summary, indent=1, ensure_ascii=False)
        (stage.directory / "tasks.json").write_text(text + "\n", encoding="utf-8")
        return curated

    def _choose(self, attempts: Mapping[int, Attempt]) -> tuple[dict[int, Verdict], dict[str, Any]]:
        """Return verdicts on a task's rows, given in the order of the draw, and its summary."""
        from storm_curation.selection.mistakes import choose_by_rouge, choose_exact, right_words

        words = right_words(attempts.values())
        if words <= self.exact_words:
            wanted = [int(rows * self.factor) for rows in self.accuracy_rows]
            verdicts, entry = choose_exact(attempts, wanted)
        else:
            verdicts, entry = choose_by_rouge(attempts, self.rouge_shares)
        return verdicts, {"rows": len(attempts), "words": words, **entry}
