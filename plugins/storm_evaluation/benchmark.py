"""The evaluator that asks lm-evaluation-harness."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Any, Protocol

from storm_evaluation.evaluation import Evaluation, EvaluationForecast
from storm_evaluation.evaluation_cost import evaluation_cost
from storm_evaluation.task_folder import TaskFolder
from storm_exp import InputError, SettingError, Stage, component, setting
from storm_exp.cost import Cost
from storm_models.checkpoint import Checkpoint, CheckpointForecast

DTYPES = ("auto", "float32", "bfloat16", "float16")


class FileDigests(Protocol):
    """What the engine gives a fingerprint."""

    def digest(self, file: Any) -> str:
        """Return the sha256 of a file."""


@component("evaluator", "lm_eval", version=1, requires=("lm_eval", "torch"), extra="evaluate")
class LmEval:
    """Score a model on tasks of lm-evaluation-harness, document by document."""

    tasks: list[str] = setting([])
    """Names of tasks, groups or tags."""
    task_folder: str = ""
    """Where the tasks' YAMLs lie: a folder, or `pkg://package/folder`. Nothing is fetched then.
    Empty: the tasks that the harness brings along, with data from the Hugging Face hub."""
    metrics: dict[str, str] = setting({})
    """The metric of a task, where it is not the first in its YAML; a group's name stands for
    all its tasks. It must be a mean over documents."""
    num_fewshot: int | None = None
    """Examples before each question; none: as each task says."""
    apply_chat_template: bool = True
    fewshot_as_multiturn: bool = True
    """Examples as turns of one conversation; has no effect without the chat template."""
    system_instruction: str = ""
    limit: int | None = None
    """Only the first documents of each task."""
    batch_size: int = 32
    """Documents computed together. In the key: padding moves scores in their last bits."""
    max_length: int | None = None
    """Tokens of prompt and answer; none: what the model's config allows."""
    max_generated_tokens: int | None = None
    """Longest answer in tokens; none: as each task says (256 where it does not)."""
    dtype: str = "auto"
    """auto (as stored), float32, bfloat16 or float16."""
    expected_tokens: int = setting(0, semantic=False)
    """Tokens that the tasks make a model read, about: lets a plan forecast costs; 0: not known."""
    seed: int = 1234
    """Chooses the examples of few-shot tasks. Of its own, not the run's: the questions stay when
    the run's seed moves, so that models of different seeds answer the same ones."""

    def __post_init__(self) -> None:
        """Check what can be checked without the tasks."""
        check_common(self.batch_size, self.max_length, self.dtype)
        repeated = sorted({task for task in self.tasks if self.tasks.count(task) > 1})
        if repeated:
            raise SettingError("tasks", repeated[0], "is listed twice")
        for name, value in (("limit", self.limit), ("num_fewshot", self.num_fewshot)):
            if value is not None and value < (1 if name == "limit" else 0):
                raise SettingError(name, value, "must be a positive number, or null")
        if self.max_generated_tokens is not None and self.max_generated_tokens < 1:
            raise SettingError("max_generated_tokens", self.max_generated_tokens, "must be ≥ 1")
        for task in self.metrics:
            if task not in self.tasks:
                raise SettingError("metrics", task, f"is not among the tasks {self.tasks}")

    def forecast(self, model: CheckpointForecast) -> EvaluationForecast:
        """Check tasks and template; raises SettingError or InputError for what cannot work."""
        if not self.tasks:
            raise SettingError("tasks", [], "name at least one task")
        if self.task_folder:
            TaskFolder(self.task_folder).check(self.tasks)
        check_model(model, self.apply_chat_template, self.max_length)
        return EvaluationForecast(tasks=list(self.tasks))

    def fingerprint(self, files: FileDigests) -> dict[str, Any]:
        """Return the digests of the task folder's files, or the version of the harness."""
        if self.task_folder:
            folder = TaskFolder(self.task_folder)
            return {
                file.relative_to(folder.directory).as_posix(): files.digest(file)
                for file in folder.files()
            }
        return {"lm_eval": _harness_version()}

    def cost(self, model: CheckpointForecast) -> Cost | None:
        """Estimate from the tokens that are expected."""
        return evaluation_cost(
            model, self.batch_size, self.max_length, self.dtype, self.expected_tokens or None
        )

    def run(self, stage: Stage, model: Checkpoint) -> Evaluation:
        """Evaluate the model on every task."""
        from storm_evaluation.harness import Harness, HarnessSettings

        folder = TaskFolder(self.task_folder).directory if self.task_folder else None
        settings = HarnessSettings(
            tasks=tuple(self.tasks),
            task_folder=folder,
            metrics=dict(self.metrics),
            num_fewshot=self.num_fewshot,
            apply_chat_template=self.apply_chat_template,
            fewshot_as_multiturn=self.fewshot_as_multiturn and self.apply_chat_template,
            system_instruction=self.system_instruction or None,
            limit=self.limit,
            max_generated_tokens=self.max_generated_tokens,
            seed=self.seed,
        )
        harness = Harness(stage, model, self.batch_size, self.max_length, self.dtype)
        result = harness.evaluate(settings)
        evaluation = Evaluation(stage.directory)
        described = {
            "num_fewshot": result.fewshot,
            "apply_chat_template": self.apply_chat_template,
            "fewshot_as_multiturn": settings.fewshot_as_multiturn,
            "system_instruction": self.system_instruction,
            "limit": self.limit,
            "max_generated_tokens": self.max_generated_tokens,
            "seed": self.seed,
            **harness.describe(self.apply_chat_template),
        }
        scores = evaluation.write(result.metrics, result.samples, described, harness.version)
        report_metrics(stage, evaluation)
        stage.metric("documents", sum(score.n for score in scores.values()))
        return evaluation


def report_metrics(stage: Stage, evaluation: Evaluation) -> None:
    """Record the mean, the loss where there is one, and each task's score as metrics."""
    summary = evaluation.summary()
    if summary["mean"] is not None:
        stage.metric("mean_score", summary["mean"], main=True)
    tasks = summary["tasks"].items()
    losses = [entry["score"] for _, entry in tasks if not entry["higher_is_better"]]
    if losses:
        stage.metric("loss", sum(losses) / len(losses), main=summary["mean"] is None, shown=True)
    for task, entry in tasks:
        stage.metric(f"score/{task}", entry["score"])


def check_common(batch_size: int, max_length: int | None, dtype: str) -> None:
    """Raise SettingError for settings that both evaluators share and that cannot work."""
    if batch_size < 1:
        raise SettingError("batch_size", batch_size, "must be at least 1")
    if max_length is not None and max_length < 2:
        raise SettingError("max_length", max_length, "must be at least 2, or null")
    if dtype not in DTYPES:
        raise SettingError("dtype", dtype, f"must be one of {', '.join(DTYPES)}")


def check_model(model: CheckpointForecast, chat_template: bool, max_length: int | None) -> None:
    """Raise where the model cannot be asked in this way, as far as its files tell."""
    if chat_template and model.has_chat_template is False:
        raise SettingError(
            "apply_chat_template", True, "the model's tokenizer has no chat template; set it false"
        )
    config = model.config or {}
    positions = config.get("max_position_embeddings")
    if max_length is not None and isinstance(positions, int) and max_length > positions:
        raise SettingError("max_length", max_length, f"the model has {positions} positions")
    method = (config.get("quantization_config") or {}).get("quant_method")
    if method == "compressed-tensors" and importlib.util.find_spec("compressed_tensors") is None:
        raise InputError(
            "the model is stored as compressed-tensors, and the package compressed_tensors is "
            "missing: pip install 'storm-exp[fp8]'"
        )


def _harness_version() -> str:
    try:
        return importlib.metadata.version("lm_eval")
    except importlib.metadata.PackageNotFoundError:
        return "missing"
