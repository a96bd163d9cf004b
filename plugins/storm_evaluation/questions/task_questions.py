"""The component `task_questions`: what the evaluator `lm_eval` asks."""

from __future__ import annotations

import dataclasses
from typing import Any

from storm_data.questions.questions import Questions, QuestionsSpec
from storm_evaluation.harness.lm_eval import LmEval
from storm_evaluation.tasks.folder import TaskFolder
from storm_exp import FileDigests, StageContext, component, setting

_FEW = 8
"""The most questions of a task in a rehearsal."""


@component("questions", "task_questions", version=1)
class TaskQuestions:
    """The questions of lm-evaluation-harness's tasks, as the evaluator `lm_eval` asks them.

    They are read by the code that asks them, and have the ids of its records. A preset takes the
    settings from the recipe's evaluator.
    """

    tasks: list[str] = setting([])
    """Names of tasks, groups or tags."""
    task_folder: str = ""
    """The folder of the tasks' YAMLs, or `pkg://package/folder`. Empty: the harness's own tasks."""
    limit: int | None = setting(None, at_least=1)
    """The most documents of each task; null: all."""
    limit_seed: int | None = setting(None, at_least=0)
    """Seed by which `limit` draws documents; null: the first ones."""
    sample_rows: int | None = setting(None, neutral=None, at_least=1)
    """Set by rehearsals: sample rows in place of each data set of the hub; null: the data sets."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        self._evaluator()

    def plan_spec(self) -> QuestionsSpec:
        """Check the tasks; raises SettingError for a name that the harness does not have."""
        self._evaluator().asked()
        return QuestionsSpec(tasks=list(self.tasks))

    def fingerprint(self, files: FileDigests) -> dict[str, Any]:
        """Return the digests of the task folder's files, or the version of the harness."""
        return self._evaluator().fingerprint(files)

    def fetches(self) -> list[str]:
        """Return the data sets that the tasks need and that are not on disk."""
        return self._evaluator().fetches()

    def look_up(self) -> list[str]:
        """Check the tasks' data on the hub; raises InputError for what cannot be fetched."""
        return self._evaluator().look_up()

    def rehearsal(self) -> TaskQuestions:
        """Return a copy with a few questions of each task, from sample rows of the hub's data."""
        few = self._evaluator().rehearsal()
        return dataclasses.replace(
            self,
            tasks=list(few.tasks),
            limit=min(self.limit or _FEW, _FEW),
            sample_rows=few.sample_rows,
        )

    def run(self, stage: StageContext) -> Questions:
        """Read the tasks' documents."""
        from storm_evaluation.harness.loaded_tasks import HarnessTasks
        from storm_evaluation.questions.harness_questions import harness_questions

        folder = TaskFolder(self.task_folder).directory if self.task_folder else None
        asked = self._evaluator().asked()
        tasks = HarnessTasks(
            names=tuple(self.tasks),
            task_folder=folder,
            settings={name: settings for name, (_, settings) in asked.items()},
            seed=0,
            sample_rows=self.sample_rows,
        )
        questions = Questions(stage.directory)
        counts = questions.write(harness_questions(tasks, stage.scratch))
        stage.metric("questions", sum(counts.values()), main=True)
        return questions

    def _evaluator(self) -> LmEval:
        """Return the evaluator that asks these questions; raises SettingError."""
        return LmEval(
            tasks=list(self.tasks),
            task_folder=self.task_folder,
            limit=self.limit,
            limit_seed=self.limit_seed,
            sample_rows=self.sample_rows,
        )
