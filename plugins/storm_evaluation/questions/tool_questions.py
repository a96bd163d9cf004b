"""The component `tool_questions`: what the evaluator `tool_calls` asks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from storm_data.questions.questions import Question, Questions, QuestionsSpec
from storm_evaluation.function_calling.berkeley import NAME
from storm_evaluation.function_calling.tool_calls import ToolCalls
from storm_exp import FileDigests, StageContext, component, setting

if TYPE_CHECKING:
    from storm_inference.environments.environment import Environment


@component("questions", "tool_questions", version=1)
class ToolQuestions:
    """The questions of suites of function calling, as the evaluator `tool_calls` asks them."""

    suite: str = setting(NAME, semantic=False)
    """bfcl, a folder in its format, or `pkg://package/folder`. Its contents enter the key."""
    categories: list[str] = setting([])
    """Files of questions, each a task."""
    limit: int | None = setting(None, at_least=1)
    """The most questions of each category; null: all."""
    limit_seed: int | None = setting(None, neutral=None, at_least=0)
    """Seed by which `limit` draws questions; null: the first ones."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        self._evaluator()

    def environments(self) -> dict[str, Environment]:
        """Return the environment of the suite, with `bfcl`."""
        needed = self._evaluator().environments()
        return {name: needed[name] for name in needed if name == "suite"}

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the digests of the files, or the versions installed in the environment."""
        return self._evaluator().fingerprint(files)

    def plan_spec(self) -> QuestionsSpec:
        """Return the tasks."""
        return QuestionsSpec(tasks=list(self.categories))

    def run(self, stage: StageContext) -> Questions:
        """Read the questions: what the user says, and the calls that are accepted."""
        evaluator = self._evaluator()
        suite = evaluator.opened_suite()
        questions = Questions(stage.directory)
        counts = questions.write(
            Question(
                question.id,
                category,
                "\n".join(m["content"] for m in question.messages if m["role"] != "system"),
                json.dumps(question.accepted, ensure_ascii=False) if question.accepted else "",
            )
            for category in self.categories
            for question in evaluator.chosen(suite, category)
        )
        stage.metric("questions", sum(counts.values()), main=True)
        return questions

    def _evaluator(self) -> ToolCalls:
        """Return the evaluator that asks these questions; raises SettingError."""
        return ToolCalls(
            suite=self.suite,
            categories=list(self.categories),
            limit=self.limit,
            limit_seed=self.limit_seed,
        )
