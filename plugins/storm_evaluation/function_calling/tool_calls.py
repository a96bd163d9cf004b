"""The evaluator `tool_calls`: compares a model's calls with the accepted ones."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_data.rows.tool_form import ToolForm
from storm_evaluation.evaluation import Evaluation, EvaluationSpec
from storm_evaluation.function_calling.berkeley import NAME, berkeley, berkeley_folder
from storm_evaluation.function_calling.suite import Question, Suite
from storm_evaluation.harness.cost import evaluation_cost
from storm_evaluation.model_checks import check_model
from storm_evaluation.reported_metrics import report_metrics
from storm_evaluation.tasks.folder import TaskFolder
from storm_evaluation.tasks.identity import digests
from storm_exp import (
    Cost,
    FileDigests,
    SettingError,
    StageContext,
    component,
    setting,
    value_digest,
)
from storm_inference.engines.settings import TRANSFORMERS, AsksModel
from storm_models.chat.tool_calls import CallSpelling
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, check_template
from storm_models.devices import has_gpu
from storm_models.dtype import LoadedDtype

if TYPE_CHECKING:
    from storm_inference.environments.environment import Environment

_METRIC = "exact calls"
_VERSION = 2


@component(
    "evaluator", "tool_calls", version=_VERSION, requires=("torch", "transformers"), extra="train"
)
class ToolCalls(AsksModel):
    """Scores the calls with which a model answers questions: names, arguments, types and values.

    Several calls may be in any order; if no tool is suitable, the right answer has no call. Each
    category of questions is a task. Answers are greedy.
    """

    suite: str = setting(NAME, semantic=False)
    """bfcl (the Berkeley leaderboard's questions, from their environment), a folder in its format,
    or `pkg://package/folder`. The files' contents enter the key."""
    categories: list[str] = setting([])
    """Files of questions, each a task, such as simple_python, parallel, live_irrelevance."""
    tool_form: ToolForm = ToolForm.storm_guidelines
    """storm_guidelines or storm (Storm's prompts), template (the model's own), or question: the
    questions themselves describe the tools."""
    call_spelling: CallSpelling = CallSpelling.json
    """json, python, json_name or python_name: names of the fields in the prompt's example of a
    call. Answers are read in any spelling."""
    limit: int | None = setting(None, at_least=1)
    """The most questions of each category; null: all."""
    limit_seed: int | None = setting(None, neutral=None, at_least=0)
    """Seed by which `limit` draws questions, the same for every model; null: the first ones."""
    batch_size: int = setting(16, at_least=1)
    """Questions per batch. Part of the key: padding changes the last bits of logits."""
    max_new_tokens: int = setting(512, at_least=1, unit="tokens")
    """Maximum length of an answer; one that does not end is scored as far as it goes."""
    dtype: LoadedDtype = LoadedDtype.auto
    """auto (as stored), float32, bfloat16 or float16."""
    expected_tokens: int | None = setting(None, semantic=False, at_least=1)
    """Approximate tokens of questions and answers, for the plan's estimate; null: unknown."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        self.check_engine()
        if not self.categories:
            raise SettingError("categories", [], "must list at least one category of questions")
        repeated = sorted({c for c in self.categories if self.categories.count(c) > 1})
        if repeated:
            raise SettingError("categories", repeated[0], "is listed twice")
        if self.tool_form is ToolForm.parsed:
            problem = "is for data sets only: use template, storm, storm_guidelines or question"
            raise SettingError("tool_form", self.tool_form.name, problem)

    def environments(self) -> dict[str, Environment]:
        """Return the environments of the engine and, with `bfcl`, of the questions."""
        questions = {"suite": berkeley()} if self.suite == NAME else {}
        return {**super().environments(), **questions}

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the digests of the files, or the versions installed in the environment."""
        if self.suite == NAME:
            return berkeley().pins()
        suite = self.opened_suite()
        suite.check(self.categories)
        used = suite.files(self.categories)
        return {str(file.relative_to(suite.directory)): files.digest(file) for file in used}

    def plan_spec(self, model: CheckpointSpec) -> EvaluationSpec:
        """Check categories and template; raises SettingError or InputError."""
        check_model(model, None)
        check_template(model, "function calling needs one")
        if self.suite == NAME and berkeley().problem():
            return EvaluationSpec(tasks=list(self.categories))
        suite = self.opened_suite()
        suite.check(self.categories)
        counts = [len(suite.questions(category)) for category in self.categories]
        return EvaluationSpec(
            tasks=list(self.categories),
            documents=sum(min(count, self.limit or count) for count in counts),
        )

    def rehearsal(self) -> ToolCalls:
        """Return the component for two questions of each category, with short answers."""
        return dataclasses.replace(
            self,
            inference=self.rehearsed_engine(),
            limit=min(self.limit or 2, 2),
            batch_size=min(self.batch_size, 2),
            max_new_tokens=min(self.max_new_tokens, 16),
            dtype=self.dtype if has_gpu() else LoadedDtype.float32,
        )

    def cost(self, model: CheckpointSpec) -> Cost | None:
        """Estimate the cost from `expected_tokens`."""
        return evaluation_cost(model, self.batch_size, None, self.dtype, self.expected_tokens)

    def run(self, stage: StageContext, model: Checkpoint) -> Evaluation:
        """Ask every question, and compare the calls in the answers."""
        from storm_evaluation.function_calling.scoring import Asked, ask
        from storm_evaluation.harness.kept_answers import KeptAnswers
        from storm_evaluation.harness.kept_results import KeptResults
        from storm_evaluation.harness.model_memos import ModelMemos
        from storm_evaluation.harness.task_result import TaskResult
        from storm_inference.opening import open_engine

        suite = self.opened_suite()
        asked = Asked(
            tool_form=self.tool_form,
            spelling=self.call_spelling,
            batch_size=self.batch_size if self.engine == TRANSFORMERS else None,
            max_new_tokens=self.max_new_tokens,
        )
        memos = ModelMemos(stage, model, _VERSION)
        kept = KeptResults(memos, self._digests(suite))
        if missing := kept.missing():
            with stage.compute() as device:
                opened = functools.partial(
                    open_engine, self, stage, model, device=device, dtype=self.dtype
                )
                chosen = {name: self.chosen(suite, name) for name in missing}
                unlimited = dataclasses.replace(self, limit=None, limit_seed=None)
                answers: dict[str, KeptAnswers] = {}
                for name, digest in unlimited._digests(suite).items() if self.limit else ():
                    answers[name] = KeptAnswers(memos, name, digest, stage.rank == 0)
                    answers[name].take(self._order(suite, name))
                for category, scored in ask(stage, model, suite, chosen, asked, opened, answers):
                    counts = Counter(mistake for _, mistake in scored if mistake)
                    result = TaskResult(
                        task=category,
                        metric=_METRIC,
                        higher_is_better=True,
                        fewshot=0,
                        description={"mistakes": dict(counts.most_common())},
                        samples=[sample for sample, _ in scored],
                    )
                    if stage.rank == 0:
                        kept.keep(result)
        evaluation = Evaluation(stage.directory)
        if stage.rank > 0:
            return evaluation
        results = kept.results()
        mistakes = {name: result.description["mistakes"] for name, result in results.items()}
        samples = [sample for result in results.values() for sample in result.samples]
        settings: dict[str, Any] = {
            "suite": self.suite if self.suite == NAME else suite.directory.name,
            "tool_form": self.tool_form.name,
            "call_spelling": self.call_spelling.name,
            "limit": self.limit,
            "limit_seed": self.limit_seed if self.limit else None,
            "max_new_tokens": self.max_new_tokens,
            "dtype": str(self.dtype),
            "mistakes": mistakes,
        }
        metrics = dict.fromkeys(self.categories, (_METRIC, True))
        scores = evaluation.write(metrics, samples, settings, "calls of tools")
        report_metrics(stage, evaluation)
        stage.metric("documents", sum(score.n for score in scores.values()))
        for category, counted in mistakes.items():
            if counted:
                shown = ", ".join(f"{count} {mistake}" for mistake, count in counted.items())
                stage.say(f"mistakes in {category}: {shown}")
        return evaluation

    def chosen(self, suite: Suite, category: str) -> list[Question]:
        """Return the questions of a category that are asked, in order."""
        questions = suite.questions(category)
        return [questions[index] for index in sorted(self._order(suite, category))]

    def _order(self, suite: Suite, category: str) -> Sequence[int]:
        """Return the numbers of the questions that are asked, in the order of the limit."""
        count = len(suite.questions(category))
        if self.limit is None or self.limit_seed is None:
            return range(count)[: self.limit]
        draw = random.Random(f"{self.limit_seed} {category}")
        return draw.sample(range(count), min(self.limit, count))

    def _digests(self, suite: Suite) -> dict[str, str]:
        """Return by category a digest of all that its result depends on, besides the model."""
        engine = [self.engine, str(self.serving.dtype), self.serving.quantisation]
        shared = [
            *(self.tool_form.name, self.call_spelling.name, str(self.dtype)),
            *(self.limit, self.limit_seed, self.max_new_tokens),
            *([self.batch_size] if self.engine == TRANSFORMERS else engine),
        ]
        pins = berkeley().pins() if self.suite == NAME else {}
        by_category = {}
        for name in self.categories:
            files = pins or digests(suite.files([name]), suite.directory)
            by_category[name] = value_digest([name, *shared, files])[:16]
        return by_category

    def opened_suite(self) -> Suite:
        """Return the suite; raises SettingError where there is none."""
        if self.suite == NAME:
            return Suite(berkeley_folder())
        return Suite(Path(TaskFolder(self.suite, "suite").directory))
