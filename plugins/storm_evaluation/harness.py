"""lm-evaluation-harness, run inside a stage: quietly, on one loaded model."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import logging
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub.constants
import lm_eval.api.task
import numpy as np
import torch
import transformers
from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from storm_evaluation.evaluation import Sample, shorten, shorten_front
from storm_evaluation.language_model import HarnessModel
from storm_exp import InputError, Stage
from storm_models.checkpoint import Checkpoint


@dataclasses.dataclass(frozen=True, kw_only=True)
class HarnessSettings:
    """What to ask, and how."""

    tasks: tuple[Any, ...]
    """Names, or the harness's own configurations of tasks as dicts."""
    task_folder: Path | None = None
    metrics: dict[str, str] = dataclasses.field(default_factory=dict)
    num_fewshot: int | None = None
    apply_chat_template: bool = True
    fewshot_as_multiturn: bool = False
    system_instruction: str | None = None
    limit: int | None = None
    max_generated_tokens: int | None = None
    seed: int = 1234


@dataclasses.dataclass(frozen=True, kw_only=True)
class HarnessResult:
    """The scores of all documents, and what the tasks turned out to be."""

    samples: list[Sample]
    metrics: dict[str, tuple[str, bool]]
    """Task → (metric, whether more is better), in the order asked for."""
    fewshot: dict[str, int]
    """Task or subtask → number of examples."""


class Harness:
    """One model, ready to be asked."""

    def __init__(
        self,
        stage: Stage,
        checkpoint: Checkpoint,
        batch_size: int,
        max_length: int | None,
        dtype: str,
    ) -> None:
        """Load the model on the stage's device."""
        self._stage = stage
        device = stage.runtime.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.set_num_threads(stage.runtime.thread_count())
        self.version = f"lm_eval {importlib.metadata.version('lm_eval')}"
        with _quiet():
            self.tokenizer = checkpoint.tokenizer()
            self.model = checkpoint.load(dtype=dtype, device=device)
        self._batch_size, self._max_length = batch_size, max_length
        self.language_model = self._wrap(None)

    def evaluate(self, settings: HarnessSettings) -> HarnessResult:
        """Score every document; raises InputError for tasks that the harness cannot score so."""
        offline = settings.task_folder is not None or not _by_name(settings)
        self.language_model = self._wrap(settings.max_generated_tokens)
        with _quiet(), _offline() if offline else contextlib.nullcontext():
            manager = TaskManager(
                include_path=str(settings.task_folder) if settings.task_folder else None,
                include_defaults=settings.task_folder is None and _by_name(settings),
            )
            if settings.task_folder is not None:
                _anchor_data_files(manager, self._stage.scratch / "datasets")
            members, tasks, groups = _load(manager, settings)
            for task in tasks.values():
                self._configure(task, settings)
            _seed_everything(settings.seed)
            result = evaluate(
                lm=self.language_model,
                task_dict={"tasks": tasks, "groups": groups},
                limit=settings.limit,
                bootstrap_iters=0,
                log_samples=True,
                system_instruction=settings.system_instruction,
                apply_chat_template=settings.apply_chat_template,
                fewshot_as_multiturn=settings.fewshot_as_multiturn,
            )
        assert result is not None
        return _collect(result, members, tasks, settings.metrics)

    def describe(self, chat_template: bool) -> dict[str, Any]:
        """Return what moves scores besides the weights."""
        beginnings = self.language_model.beginnings
        config = self.model.config
        quantization = getattr(config, "quantization_config", None)
        if quantization is not None and not isinstance(quantization, dict):
            quantization = quantization.to_dict()
        template = self.tokenizer.chat_template if chat_template else None
        text = template if isinstance(template, str | None) else repr(sorted(template.items()))
        return {
            "chat_template": hashlib.sha256(text.encode()).hexdigest() if text else None,
            "bos": _describe_bos(beginnings, bool(text and "bos_token" in text)),
            "batch_size": self._batch_size,
            "max_length": self.language_model.max_length,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "quantization": (quantization or {}).get("quant_method"),
        }

    def _wrap(self, max_generated_tokens: int | None) -> HarnessModel:
        with _quiet():
            return HarnessModel(
                self.model,
                self.tokenizer,
                self._stage,
                batch_size=self._batch_size,
                max_length=self._max_length,
                max_generated_tokens=max_generated_tokens,
            )

    def _configure(self, task: Any, settings: HarnessSettings) -> None:
        own = task.get_config("num_fewshot")
        if settings.num_fewshot is not None and own != 0:
            task.set_config(key="num_fewshot", value=settings.num_fewshot)
        elif own is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=settings.seed)
        if task.get_config("output_type") == "generate_until" and settings.max_generated_tokens:
            task.set_config(
                key="generation_kwargs",
                value={"max_gen_toks": settings.max_generated_tokens},
                update=True,
            )


def _by_name(settings: HarnessSettings) -> bool:
    return any(isinstance(task, str) for task in settings.tasks)


def _load(
    manager: TaskManager, settings: HarnessSettings
) -> tuple[dict[str, list[str]], dict[str, Any], dict[str, Any]]:
    """Return (asked name → its leaf tasks), (leaf tasks by name), (groups by name)."""
    members: dict[str, list[str]] = {}
    tasks: dict[str, Any] = {}
    groups: dict[str, Any] = {}
    for asked in settings.tasks:
        name = asked if isinstance(asked, str) else asked["task"]
        try:
            loaded = manager.load([asked])
        except KeyError as error:
            raise InputError(f"lm-evaluation-harness has no task '{name}'") from error
        twice = sorted(set(loaded["tasks"]) & set(tasks))
        if twice:
            raise InputError(f"the tasks contain '{twice[0]}' twice, once within '{name}'")
        members[name] = list(loaded["tasks"])
        tasks.update(loaded["tasks"])
        groups.update(loaded.get("groups", {}))
    return members, tasks, groups


def _anchor_data_files(manager: TaskManager, cache: Path) -> None:
    """Make data files relative to the task's YAML, and keep caches in the stage's scratch."""
    for entry in manager.task_index.values():
        if entry.yaml_path is None or entry.kind.name != "TASK":
            continue
        folder = Path(entry.yaml_path).parent
        config = load_yaml(entry.yaml_path, resolve_func=True)
        if "custom_dataset" in config or "dataset_path" not in config:
            continue
        arguments = dict(config.get("dataset_kwargs") or {})
        if "data_files" in arguments:
            arguments["data_files"] = _anchor(arguments["data_files"], folder)
        config["dataset_kwargs"] = {"cache_dir": str(cache), **arguments}
        entry.cfg, entry.yaml_path = config, None


def _anchor(files: Any, folder: Path) -> Any:
    if isinstance(files, dict):
        return {split: _anchor(value, folder) for split, value in files.items()}
    if isinstance(files, list):
        return [_anchor(value, folder) for value in files]
    inside = folder / files
    return str(inside) if inside.exists() else files


def _collect(
    result: Any, members: dict[str, list[str]], tasks: dict[str, Any], chosen: dict[str, str]
) -> HarnessResult:
    samples: list[Sample] = []
    metrics: dict[str, tuple[str, bool]] = {}
    for asked, leaves in members.items():
        for leaf in leaves:
            metric = _metric(asked, leaf, tasks[leaf], chosen)
            rows = _first_filter(result["samples"][leaf])
            scores = [_score(row, metric, leaf) for row in rows]
            _check_mean(result["results"][leaf], metric, rows, scores, leaf)
            better = bool(result["higher_is_better"][leaf].get(metric, True))
            if metrics.setdefault(asked, (metric, better)) != (metric, better):
                raise InputError(
                    f"task {asked}: its parts are scored by {metrics[asked][0]} and {metric}; "
                    f"name one in metrics.{asked}"
                )
            names = _document_names([f"{leaf}:{row['doc_hash']}" for row in rows])
            for row, score, name in zip(rows, scores, names, strict=True):
                prompt, prediction, target = _shown(row, metric, tasks[leaf])
                samples.append(
                    Sample(
                        task=asked,
                        document=name,
                        score=score,
                        subtask=leaf if leaf != asked else "",
                        prompt=shorten_front(prompt),
                        prediction=prediction,
                        target=target,
                    )
                )
    fewshot = {name: int(count or 0) for name, count in result["n-shot"].items()}
    return HarnessResult(samples=samples, metrics=metrics, fewshot=fewshot)


def _metric(asked: str, leaf: str, task: Any, chosen: dict[str, str]) -> str:
    known = list(task.aggregation())
    metric = chosen.get(asked, known[0])
    if metric not in known:
        raise InputError(f"metrics.{asked}: task {leaf} has no metric '{metric}' (has {known})")
    return metric


def _first_filter(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = [row for row in rows if row["filter"] == rows[0]["filter"]]
    return sorted(rows, key=lambda row: row["doc_id"])


def _score(row: dict[str, Any], metric: str, task: str) -> float:
    value = row.get(metric)
    if not isinstance(value, int | float | np.number | np.bool_):
        raise InputError(
            f"task {task}: metric '{metric}' gives no number per document; choose another in "
            f"`metrics`"
        )
    return float(value)


def _check_mean(
    results: dict[str, Any],
    metric: str,
    rows: list[dict[str, Any]],
    scores: list[float],
    task: str,
) -> None:
    reported = float(results[f"{metric},{rows[0]['filter']}"])
    if abs(reported - float(np.mean(scores))) > 1e-9 * max(1.0, abs(reported)):
        raise InputError(
            f"task {task}: metric '{metric}' is not a mean over documents; choose another in "
            f"`metrics`"
        )


def _document_names(hashes: list[str]) -> list[str]:
    """Return a short name per document that does not depend on the model; repeats are numbered."""
    seen: Counter[str] = Counter()
    names = []
    for text in hashes:
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return names


def _shown(row: dict[str, Any], metric: str, task: Any) -> tuple[str, str, str]:
    """Return prompt, prediction and target as texts: a choice's own words, not its index."""
    answers, target = row["filtered_resps"], row["target"]
    prompt = str(row["arguments"][0][0])
    if not isinstance(answers[0], list | tuple):
        return prompt, shorten(answers[0] if len(answers) == 1 else answers), shorten(target)
    likelihoods = [float(answer[0]) for answer in answers]
    if task.OUTPUT_TYPE != "multiple_choice":
        return prompt, f"{likelihoods[0]:.4g}", shorten(target)
    choices = [str(choice) for choice in task.doc_to_choice(row["doc"])]
    if metric == "acc_norm":
        pairs = zip(likelihoods, choices, strict=False)
        likelihoods = [value / max(1, len(choice)) for value, choice in pairs]
    chosen = choices[likelihoods.index(max(likelihoods[: len(choices)]))]
    known = isinstance(target, int) and 0 <= target < len(choices)
    return prompt, shorten(chosen), shorten(choices[target] if known else target)


def _describe_bos(beginnings: set[int], in_template: bool) -> str:
    if beginnings == {1}:
        return "one, from the chat template" if in_template else "one, from the tokenizer"
    return "none" if beginnings in ({0}, set()) else "differs between tasks"


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Keep `datasets` and the hub client from the network."""
    before = datasets.config.HF_DATASETS_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE
    datasets.config.HF_DATASETS_OFFLINE = huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_DATASETS_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what libraries print: the stage has a bar and a log of its own."""
    loggers = [logging.getLogger(name) for name in ("lm_eval", "datasets", "transformers")]
    levels = [logger.level for logger in loggers]
    bars = datasets.are_progress_bars_disabled()
    tqdm = lm_eval.api.task.tqdm
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    loading = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    lm_eval.api.task.tqdm = lambda rows, **_: rows
    try:
        yield
    finally:
        lm_eval.api.task.tqdm = tqdm
        if loading:
            transformers.utils.logging.enable_progress_bar()
        if not bars:
            datasets.enable_progress_bars()
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
