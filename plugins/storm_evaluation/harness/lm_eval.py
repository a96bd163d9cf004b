"""The evaluator that asks lm-evaluation-harness."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol

from storm_evaluation.evaluation import Evaluation, EvaluationSpec
from storm_evaluation.harness.cost import evaluation_cost
from storm_evaluation.harness.nltk_data import fetch
from storm_evaluation.tasks.checks import check_lengths, check_tasks, resources
from storm_evaluation.tasks.folder import TaskFolder
from storm_evaluation.tasks.index import TaskIndex
from storm_evaluation.tasks.lookup import look_up_tasks
from storm_evaluation.tasks.record import describe_tasks
from storm_evaluation.tasks.rehearsal import ANSWER, BATCH, few_questions
from storm_evaluation.tasks.samples import sample_of
from storm_evaluation.tasks.settings import ByTask, TaskSettings, resolve
from storm_evaluation.tasks.tree import Leaf, leaves
from storm_exp import Cost, InputError, SettingError, StageContext, component, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.devices import has_gpu
from storm_models.dtype import LoadedDtype
from storm_models.sources.repository import cached_snapshot

_ROWS = 40
"""Rows of every split of a rehearsal: more than any task has examples."""
_LENGTH = 256
"""Tokens of a rehearsal's prompts with their answers, at most."""


class FileDigests(Protocol):
    """What the engine gives a fingerprint."""

    def digest(self, file: Any) -> str:
        """Return the sha256 of a file."""


@component("evaluator", "lm_eval", version=3)
class LmEval:
    """Score a model on tasks of lm-evaluation-harness, document by document.

    How a task is asked is said once for all, and in `by_task` for those that differ:
    `by_task.num_fewshot={gsm8k: 5, mmlu: 5}`.
    """

    tasks: list[str] = setting([])
    """Names of tasks, groups or tags."""
    task_folder: str = ""
    """Where the tasks' YAMLs lie: a folder, or `pkg://package/folder`. Nothing is fetched then.
    Empty: the tasks that the harness brings along, with data from the Hugging Face hub."""
    by_task: ByTask = setting(ByTask)
    """The same settings for single tasks, or for the tasks of a group."""
    num_fewshot: int | None = setting(None, at_least=0)
    """Examples before each question; null: as each task says. A task whose YAML says 0 stays at
    0, as in the harness."""
    apply_chat_template: bool = True
    """Whether prompts are rendered as chats; without it they are plain text."""
    fewshot_as_multiturn: bool = True
    """Examples as turns of one conversation; has no effect without the chat template."""
    system_instruction: str = ""
    """The system prompt of every chat; empty: none."""
    limit: int | None = setting(None, at_least=1)
    """Only so many documents of each task, and of each task of a group; null: all."""
    limit_seed: int | None = setting(None, at_least=0)
    """Draws the documents that `limit` leaves, the same for every model; null: the first."""
    batch_size: int = setting(32, at_least=1)
    """Documents computed together. In the key: padding moves scores in their last bits."""
    max_length: int | None = setting(None, at_least=2, unit="tokens")
    """Tokens of prompt and answer; null: what the model's config allows."""
    max_new_tokens: int | None = setting(None, at_least=1)
    """Longest answer in tokens; null: as each task says (256 where it does not)."""
    dtype: LoadedDtype = LoadedDtype.auto
    """auto (as stored), float32, bfloat16 or float16."""
    expected_tokens: int | None = setting(None, semantic=False, at_least=1)
    """Tokens that the tasks make a model read, about: lets a plan forecast costs; null: unknown."""
    sample_rows: int | None = setting(None, neutral=None, at_least=1)
    """Rehearsals: so many rows of ours in place of each data set of the hub; null: those."""
    seed: int = 1234
    """Chooses the examples of few-shot tasks. Of its own, not the run's: the questions stay when
    the run's seed moves, so that models of different seeds answer the same ones."""

    def __post_init__(self) -> None:
        """Check what can be checked without the tasks."""
        repeated = sorted({task for task in self.tasks if self.tasks.count(task) > 1})
        if repeated:
            raise SettingError("tasks", repeated[0], "is listed twice")

    def plan_spec(self, model: CheckpointSpec) -> EvaluationSpec:
        """Check tasks and template; raises SettingError or InputError for what cannot work."""
        asked = self.asked()
        check_tasks(asked)
        window = check_model(model, self.max_length)
        check_lengths(asked, window)
        if model.has_chat_template is False:
            for leaf, settings in asked.values():
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
        """Return the same for a question of each task, on rows of ours where it asks the hub.

        Raises SettingError where there are none for any of the tasks.
        """
        known = [task for task in self.tasks if task not in self._unknown()]
        if not known:
            problem = "no rows of their data sets are known for a rehearsal"
            raise SettingError("tasks", self.tasks, problem)
        return dataclasses.replace(
            self,
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
        """Say what is asked in place of the tasks' data; empty outside rehearsals."""
        return "our own rows in the schema of its tasks" if self.sample_rows else ""

    def not_rehearsed(self) -> list[str]:
        """Return what rows of ours do not show."""
        if self.task_folder:
            return []
        data = "the tasks' data: whether it can be fetched, and its rows (ours stand in)"
        further = [f"nltk's {name}, which a task fetches" for name in resources(self.asked())]
        return [data, *further, *(f"the task {task}" for task in self._unknown())]

    def _unknown(self) -> list[str]:
        """Return the tasks, of those that are named, that ask data of which there is no sample."""
        if self.task_folder:
            return []
        paths = [
            (leaf.asked, str(leaf.config.get("dataset_path") or ""))
            for leaf, _ in self.asked().values()
        ]
        return sorted({asked for asked, path in paths if "/" in path and sample_of(path) is None})

    def cost(self, model: CheckpointSpec) -> Cost | None:
        """Estimate from the tokens that are expected, in batches of most of the tasks."""
        return evaluation_cost(
            model, self.batch_size, self.max_length, self.dtype, self.expected_tokens
        )

    def fetches(self) -> list[str]:
        """Return what the tasks need of the hub and of nltk, and this machine lacks."""
        if self.task_folder or self.sample_rows:
            return []
        asked = self.asked()
        named = {str(leaf.config.get("dataset_path") or "") for leaf, _ in asked.values()}
        found = [
            f"dataset {name} (of a task)"
            for name in sorted(named)
            if "/" in name and cached_snapshot(name, "main", "dataset") is None
        ]
        return found + [f"nltk's {name}" for name in resources(asked)]

    def look_up(self) -> list[str]:
        """Ask the hub for the tasks' data; raises InputError for what cannot be had."""
        return look_up_tasks(leaf for leaf, _ in self.asked().values())

    def asked(self) -> dict[str, tuple[Leaf, TaskSettings]]:
        """Return every task that is asked, by name, and how; raises SettingError, InputError."""
        if not self.tasks:
            raise SettingError("tasks", [], "name at least one task")
        index = self._index()
        if index is None:
            return {}
        found = leaves(index, self.tasks)
        self.by_task.check_names(name for leaf in found for name in leaf.names)
        return {
            leaf.name: (leaf, resolve(self.settings(), self.by_task, leaf.names)) for leaf in found
        }

    def settings(self) -> TaskSettings:
        """Return what holds for every task that `by_task` does not name."""
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
        """Evaluate the model on every task."""
        from storm_evaluation.harness.harness import Harness, HarnessTasks

        folder = TaskFolder(self.task_folder).directory if self.task_folder else None
        asked = self.asked()
        if not self.task_folder and not self.sample_rows:
            fetch(resources(asked))
        tasks = HarnessTasks(
            names=tuple(self.tasks),
            task_folder=folder,
            settings={name: settings for name, (_, settings) in asked.items()},
            seed=self.seed,
            sample_rows=self.sample_rows,
        )
        with stage.compute():
            harness = Harness(stage, model, self.max_length, self.dtype)
            result = harness.evaluate(tasks)
        evaluation = Evaluation(stage.directory)
        described = {
            "by_task": describe_tasks(asked, result),
            "seed": self.seed,
            **harness.describe(any(s.apply_chat_template for _, s in asked.values())),
        }
        scores = evaluation.write(result.metrics, result.samples, described, harness.version)
        report_metrics(stage, evaluation)
        stage.metric("documents", sum(score.n for score in scores.values()))
        return evaluation


def report_metrics(stage: StageContext, evaluation: Evaluation) -> None:
    """Record the mean, the loss where there is one, and each task's score as metrics.

    They say which questions they are of: figures of other questions are not put beside them unsaid.
    """
    summary, on = evaluation.summary(), evaluation.questions()
    tasks = list(summary["tasks"].values())
    if summary["mean"] is not None:
        stage.metric("mean_score", summary["mean"], main=True, on=on)
        _report_error(stage, "mean_score", [t for t in tasks if t["higher_is_better"]])
    losses = [entry for entry in tasks if not entry["higher_is_better"]]
    if losses:
        alone, loss = summary["mean"] is None, sum(entry["score"] for entry in losses) / len(losses)
        stage.metric("loss", loss, main=alone, shown=True, on=on)
        _report_error(stage, "loss", losses)
    for task, entry in summary["tasks"].items():
        stage.metric(f"score/{task}", entry["score"])


def _report_error(stage: StageContext, name: str, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Record the standard error of a mean over tasks, over their questions, where it is known."""
    errors = [entry["stderr"] for entry in tasks]
    if None not in errors:
        stage.metric(f"{name}_stderr", math.fsum(e**2 for e in errors) ** 0.5 / len(errors))


def check_model(model: CheckpointSpec, max_length: int | None) -> int | None:
    """Return the tokens that a prompt and its answer may have, None where the config is not known.

    Raises SettingError for more than the model has positions, InputError for a model whose files
    need a package that is missing.
    """
    config = model.config or {}
    positions = config.get("max_position_embeddings")
    positions = positions if isinstance(positions, int) else None
    if max_length is not None and positions is not None and max_length > positions:
        raise SettingError("max_length", max_length, f"the model has {positions} positions")
    method = (config.get("quantization_config") or {}).get("quant_method")
    if method == "compressed-tensors" and importlib.util.find_spec("compressed_tensors") is None:
        raise InputError(
            "the model is stored as compressed-tensors, and the package compressed_tensors is "
            "missing: pip install 'storm-exp[fp8]'"
        )
    return max_length or positions


def refuse_template(task: str) -> NoReturn:
    """Raise SettingError for a template that is to be applied and that the model does not have."""
    place = f"by_task.apply_chat_template.{task}" if task else "apply_chat_template"
    raise SettingError(
        place,
        True,
        "the model's tokenizer has no chat template; set it false, or give the model one",
    )


def _harness_version() -> str:
    try:
        return importlib.metadata.version("lm_eval")
    except importlib.metadata.PackageNotFoundError:
        return "missing"
