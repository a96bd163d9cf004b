"""The evaluator `lm_eval`: tasks of lm-evaluation-harness."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
from typing import TYPE_CHECKING, Any, Protocol

from storm_evaluation.evaluation import Evaluation, EvaluationSpec
from storm_evaluation.harness.cost import evaluation_cost
from storm_evaluation.harness.nltk_data import fetch
from storm_evaluation.model_checks import check_model, refuse_template
from storm_evaluation.reported_metrics import report_metrics
from storm_evaluation.tasks.checks import check_lengths, check_tasks, resources
from storm_evaluation.tasks.folder import TaskFolder
from storm_evaluation.tasks.identity import FolderIdentity, configuration
from storm_evaluation.tasks.index import TaskIndex
from storm_evaluation.tasks.lookup import look_up_tasks
from storm_evaluation.tasks.record import by_request, describe_tasks
from storm_evaluation.tasks.rehearsal import ANSWER, BATCH, few_questions
from storm_evaluation.tasks.samples import sample_of
from storm_evaluation.tasks.settings import ByTask, TaskSettings, resolve
from storm_evaluation.tasks.tree import Leaf, leaves
from storm_exp import (
    Cost,
    SettingError,
    StageContext,
    component,
    setting,
    value_digest,
)
from storm_inference.engines.settings import TRANSFORMERS, AsksModel
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.devices import has_gpu
from storm_models.dtype import LoadedDtype
from storm_models.sources.repository import cached_snapshot

if TYPE_CHECKING:
    from storm_evaluation.harness.kept_answers import KeptAnswers
    from storm_evaluation.harness.kept_results import KeptResults

_VERSION = 4
_ROWS = 40
"""Rows of every split in a rehearsal: more than any task has few-shot examples."""
_LENGTH = 256
"""The most tokens of a prompt and its answer in a rehearsal."""


class FileDigests(Protocol):
    """The engine's digests of files."""

    def digest(self, file: Any) -> str:
        """Return the sha256 of a file."""


@component("evaluator", "lm_eval", version=_VERSION)
class LmEval(AsksModel):
    """Scores a model on tasks of lm-evaluation-harness, document by document.

    The settings apply to all tasks; `by_task` overrides them for single ones:
    `by_task.num_fewshot={gsm8k: 5, mmlu: 5}`. Engines other than transformers write the answers of
    tasks that generate; likelihoods are always computed by transformers.
    """

    tasks: list[str] = setting([])
    """Names of tasks, groups or tags."""
    task_folder: str = ""
    """The folder of the tasks' YAMLs, or `pkg://package/folder`; nothing is downloaded then.
    Empty: the harness's own tasks, with data from the Hugging Face hub."""
    by_task: ByTask = setting(ByTask)
    """The same settings for single tasks or groups."""
    num_fewshot: int | None = setting(None, at_least=0)
    """Few-shot examples; null: as each task's YAML says. A task whose YAML says 0 stays at 0, as in
    the harness."""
    apply_chat_template: bool = True
    """Whether prompts are rendered as chats; without it they are plain text."""
    fewshot_as_multiturn: bool = True
    """Few-shot examples as turns of one conversation; no effect without the chat template."""
    system_instruction: str = ""
    """The system prompt of every chat; empty: none."""
    limit: int | None = setting(None, at_least=1)
    """The most documents of each task, and of each task of a group; null: all."""
    limit_seed: int | None = setting(None, at_least=0)
    """Seed by which `limit` draws documents, the same for every model; null: the first ones."""
    batch_size: int = setting(32, at_least=1)
    """Documents per batch. It enters the key: padding changes the last bits of scores."""
    max_length: int | None = setting(None, at_least=2, unit="tokens")
    """The most tokens of prompt and answer; null: the model's positions."""
    max_new_tokens: int | None = setting(None, at_least=1)
    """The most tokens of an answer; null: as each task says, else 256."""
    dtype: LoadedDtype = LoadedDtype.auto
    """auto (as stored), float32, bfloat16 or float16."""
    expected_tokens: int | None = setting(None, semantic=False, at_least=1)
    """Approximate tokens of all prompts, for estimates of costs; null: unknown."""
    sample_rows: int | None = setting(None, neutral=None, at_least=1)
    """Set by rehearsals: sample rows in place of each data set of the hub; null: the data sets."""
    seed: int = 1234
    """Seed of the choice of few-shot examples. It is independent of the run's seed, so that models
    of different seeds get the same prompts."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        self.check_engine()
        repeated = sorted({task for task in self.tasks if self.tasks.count(task) > 1})
        if repeated:
            raise SettingError("tasks", repeated[0], "is listed twice")

    @property
    def distributed(self) -> bool:
        """Whether a worker runs on each device: they compute likelihoods with every engine."""
        scores = any(not leaf.generates for leaf, _ in self.asked().values())
        return super().distributed or scores

    def plan_spec(self, model: CheckpointSpec) -> EvaluationSpec:
        """Check tasks and chat template; raises SettingError or InputError."""
        tasks = self.asked()
        check_tasks(tasks)
        window = check_model(model, self.max_length)
        check_lengths(tasks, window)
        if model.has_chat_template is False:
            for leaf, settings in tasks.values():
                if settings.apply_chat_template:
                    refuse_template(leaf.asked if self.by_task.apply_chat_template else "")
        return EvaluationSpec(tasks=list(self.tasks))

    def fingerprint(self, files: FileDigests) -> dict[str, Any]:
        """Return the digests of the task folder's files, or the version of the harness."""
        if self.task_folder:
            folder = TaskFolder(self.task_folder)
            return {
                file.relative_to(folder.directory).as_posix(): files.digest(file)
                for file in folder.files()
            }
        return {"lm_eval": _harness_version()}

    def rehearsal(self) -> LmEval:
        """Return a copy with a question of each task, on sample rows in place of the hub's data.

        Raises SettingError where no task has sample rows.
        """
        known = [task for task in self.tasks if task not in self._unknown()]
        if not known:
            problem = "a rehearsal has no sample rows for any of their data sets"
            raise SettingError("tasks", self.tasks, problem)
        return dataclasses.replace(
            self,
            inference=self.rehearsed_engine(),
            tasks=known,
            by_task=few_questions(self.by_task, known, self.tasks),
            limit=1,
            sample_rows=None if self.task_folder else _ROWS,
            batch_size=min(self.batch_size, BATCH),
            max_length=min(self.max_length or _LENGTH, _LENGTH),
            max_new_tokens=min(self.max_new_tokens or ANSWER, ANSWER),
            dtype=self.dtype if has_gpu() else LoadedDtype.float32,
        )

    @property
    def stands_for(self) -> str:
        """What replaces the tasks' data; empty outside rehearsals."""
        return "made-up rows in the schema of its tasks" if self.sample_rows else ""

    def not_rehearsed(self) -> list[str]:
        """Return what a rehearsal with sample rows does not test."""
        if self.task_folder:
            return super().not_rehearsed()
        data = "the tasks' data: whether it can be fetched, and its rows (samples replace them)"
        further = [f"nltk's {name}, which a task fetches" for name in resources(self.asked())]
        return [
            *super().not_rehearsed(),
            data,
            *further,
            *(f"the task {task}" for task in self._unknown()),
        ]

    def _unknown(self) -> list[str]:
        """Return the named tasks whose data sets have no sample."""
        if self.task_folder:
            return []
        paths = [
            (leaf.asked, str(leaf.config.get("dataset_path") or ""))
            for leaf, _ in self.asked().values()
        ]
        return sorted({asked for asked, path in paths if "/" in path and sample_of(path) is None})

    def cost(self, model: CheckpointSpec) -> Cost | None:
        """Estimate the cost from `expected_tokens`, with the batch size of most tasks."""
        return evaluation_cost(
            model, self.batch_size, self.max_length, self.dtype, self.expected_tokens
        )

    def fetches(self) -> list[str]:
        """Return the data sets and nltk resources that the tasks need and that are not on disk."""
        if self.task_folder or self.sample_rows:
            return []
        tasks = self.asked()
        paths = {str(leaf.config.get("dataset_path") or "") for leaf, _ in tasks.values()}
        datasets = [
            f"dataset {name} (of a task)"
            for name in sorted(paths)
            if "/" in name and cached_snapshot(name, "main", "dataset") is None
        ]
        return datasets + [f"nltk's {name}" for name in resources(tasks)]

    def look_up(self) -> list[str]:
        """Check the tasks' data on the hub; raises InputError for what cannot be fetched."""
        return look_up_tasks(leaf for leaf, _ in self.asked().values())

    def asked(self) -> dict[str, tuple[Leaf, TaskSettings]]:
        """Return every leaf task with its settings, by name; raises SettingError, InputError."""
        if not self.tasks:
            raise SettingError("tasks", [], "name at least one task")
        index = self._index()
        if index is None:
            return {}
        tasks = leaves(index, self.tasks)
        self.by_task.check_names(name for leaf in tasks for name in leaf.names)
        return {
            leaf.name: (leaf, resolve(self.settings(), self.by_task, leaf.names)) for leaf in tasks
        }

    def settings(self) -> TaskSettings:
        """Return the settings of tasks that `by_task` does not name."""
        return TaskSettings(
            num_fewshot=self.num_fewshot,
            apply_chat_template=self.apply_chat_template,
            fewshot_as_multiturn=self.fewshot_as_multiturn,
            system_instruction=self.system_instruction,
            batch_size=self.batch_size,
            limit=self.limit,
            limit_seed=self.limit_seed,
            max_new_tokens=self.max_new_tokens,
        )

    def _index(self) -> TaskIndex | None:
        if self.task_folder:
            return TaskFolder(self.task_folder).index()
        return TaskIndex.of_harness(tuple(self.tasks))

    def run(self, stage: StageContext, model: Checkpoint) -> Evaluation:
        """Evaluate the model on every task of which no result is kept."""
        from storm_evaluation.harness.description import merge_descriptions
        from storm_evaluation.harness.kept_results import KeptResults
        from storm_evaluation.harness.model_memos import ModelMemos

        asked = self.asked()
        kept = KeptResults(ModelMemos(stage, model, _VERSION), self._digests(asked))
        figures = self._ask(stage, model, asked, kept) if kept.missing() else {}
        evaluation = Evaluation(stage.directory)
        if stage.rank > 0:
            return evaluation
        results = kept.results()
        described = {
            "by_task": describe_tasks(asked, results),
            "seed": self.seed,
            **merge_descriptions(result.description for result in results.values()),
        }
        metrics, samples = by_request(asked, results)
        scores = evaluation.write(metrics, samples, described, f"lm_eval {_harness_version()}")
        report_metrics(stage, evaluation)
        stage.metric("documents", sum(score.n for score in scores.values()))
        for name, value in figures.items():
            stage.metric(name, value)
        return evaluation

    def _ask(
        self,
        stage: StageContext,
        model: Checkpoint,
        asked: dict[str, tuple[Leaf, TaskSettings]],
        kept: KeptResults,
    ) -> dict[str, float]:
        """Evaluate the missing tasks; return figures of the engine that wrote answers."""
        from filelock import FileLock

        from storm_evaluation.harness.harness import Harness
        from storm_evaluation.harness.loaded_tasks import HarnessTasks
        from storm_inference.opening import open_engine

        missing = set(kept.missing())
        requested = {leaf.asked for leaf, _ in asked.values() if leaf.name in missing}
        left = {name: each for name, each in asked.items() if each[0].asked in requested}
        if not self.task_folder and not self.sample_rows:
            with FileLock(stage.scratch / "nltk.lock"):  # one worker after the other
                fetch(resources(left))
        writers = {name for name in missing if asked[name][0].generates}
        elsewhere = self.engine != TRANSFORMERS and bool(writers)
        others = set(left) - missing
        with stage.compute() as device, contextlib.ExitStack() as opened:
            # The device is the engine's where nothing is to be computed beside it.
            alone = elsewhere and writers == missing
            harness = Harness(
                stage, model, self.max_length, self.dtype, device="cpu" if alone else ""
            )
            if elsewhere and stage.rank > 0:
                others |= writers
            elif elsewhere:
                harness.engine = open_engine(
                    self,
                    stage,
                    model,
                    device=device,
                    dtype=self.dtype,
                    max_length=harness.language_model.max_length,
                    stops=harness.stops(),
                )
                opened.callback(harness.engine.close)
            elif self.engine != TRANSFORMERS and not any(
                leaf.generates for leaf, _ in asked.values()
            ):
                stage.say("no task generates: transformers scores the likelihoods of them all")
            tasks = HarnessTasks(
                names=tuple(name for name in self.tasks if name in requested),
                task_folder=TaskFolder(self.task_folder).directory if self.task_folder else None,
                settings={name: settings for name, (_, settings) in left.items()},
                seed=self.seed,
                sample_rows=self.sample_rows,
                left_out=frozenset(others),
            )
            keep = kept.keep if stage.rank == 0 else lambda result: None
            harness.evaluate(tasks, keep, self._kept_answers(stage, model, left))
            return harness.engine.figures() if harness.engine else {}

    def _kept_answers(
        self, stage: StageContext, model: Checkpoint, asked: dict[str, tuple[Leaf, TaskSettings]]
    ) -> dict[str, KeptAnswers]:
        """Return by task the answers that evaluations with another limit have kept."""
        from storm_evaluation.harness.kept_answers import KeptAnswers
        from storm_evaluation.harness.model_memos import ModelMemos

        memos = ModelMemos(stage, model, _VERSION)
        unlimited = {
            name: (leaf, dataclasses.replace(settings, limit=None, limit_seed=None))
            for name, (leaf, settings) in asked.items()
        }
        digests = self._digests(unlimited)
        return {name: KeptAnswers(memos, name, digests[name], stage.rank == 0) for name in asked}

    def _digests(self, asked: dict[str, tuple[Leaf, TaskSettings]]) -> dict[str, str]:
        """Return by task a digest of all that its result depends on, besides the model."""
        folder = FolderIdentity(TaskFolder(self.task_folder)) if self.task_folder else None
        shared = [_harness_version(), self.seed, self.max_length, str(self.dtype), self.sample_rows]
        digests = {}
        for name, (leaf, settings) in asked.items():
            files = folder.of(leaf) if folder else {}
            own = [name, configuration(leaf.config), files, dataclasses.asdict(settings)]
            engine = [self.engine, self.serving.dtype, self.serving.quantisation]
            written = engine if leaf.generates and self.engine != TRANSFORMERS else []
            digests[name] = value_digest([*shared, *own, *map(str, written)])[:16]
        return digests


def _harness_version() -> str:
    try:
        return importlib.metadata.version("lm_eval")
    except importlib.metadata.PackageNotFoundError:
        return "missing"
