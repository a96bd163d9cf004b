"""lm-evaluation-harness, run inside a stage: quietly, on one loaded model."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lm_eval.utils
import numpy as np
import torch
from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from storm_evaluation.language_model import HarnessModel
from storm_evaluation.outcome import HarnessResult, collect
from storm_evaluation.quiet import offline, quiet
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
        self._quantization = checkpoint.config().get("quantization_config") or {}
        with quiet():
            self.tokenizer = checkpoint.tokenizer()
            self.model = checkpoint.load(dtype=dtype, device=device)
        self._batch_size, self._max_length = batch_size, max_length
        self.language_model = self._wrap(None)

    def evaluate(self, settings: HarnessSettings) -> HarnessResult:
        """Score every document; raises InputError for tasks that the harness cannot score so."""
        local = settings.task_folder is not None or not _by_name(settings)
        self.language_model = self._wrap(settings.max_generated_tokens)
        near = offline() if local else contextlib.nullcontext()
        with quiet(), near, _templates_kept():
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
        return collect(result, members, tasks, settings.metrics)

    def describe(self, chat_template: bool) -> dict[str, Any]:
        """Return what moves scores besides the weights."""
        beginnings = self.language_model.beginnings
        template = self.tokenizer.chat_template if chat_template else None
        text = template if isinstance(template, str | None) else repr(sorted(template.items()))
        return {
            "chat_template": hashlib.sha256(text.encode()).hexdigest() if text else None,
            "bos": _describe_bos(beginnings, bool(text and "bos_token" in text)),
            "batch_size": self._batch_size,
            "max_length": self.language_model.max_length,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "quantization": self._quantization.get("quant_method"),
        }

    def _wrap(self, max_generated_tokens: int | None) -> HarnessModel:
        with quiet():
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


def _describe_bos(beginnings: set[int], in_template: bool) -> str:
    if beginnings == {1}:
        return "one, from the chat template" if in_template else "one, from the tokenizer"
    return "none" if beginnings in ({0}, set()) else "differs between tasks"


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextlib.contextmanager
def _templates_kept() -> Iterator[None]:
    """Compile each of the tasks' templates once.

    The harness compiles them for every document, which takes longer than a small model's answer.
    """
    environment = lm_eval.utils.env
    environment.from_string = functools.lru_cache(maxsize=512)(environment.from_string)
    try:
        yield
    finally:
        del environment.from_string
