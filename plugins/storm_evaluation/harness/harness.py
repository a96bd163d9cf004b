"""Running lm-evaluation-harness inside a stage, on one loaded model."""

from __future__ import annotations

import hashlib
import importlib.metadata
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from lm_eval.evaluator import evaluate

from storm_evaluation.harness.description import merge_descriptions
from storm_evaluation.harness.kept_answers import KeptAnswers
from storm_evaluation.harness.language_model import HarnessModel
from storm_evaluation.harness.loaded_tasks import HarnessTasks, drawn, opened
from storm_evaluation.harness.quiet import quiet
from storm_evaluation.harness.task_result import TaskResult, read_result
from storm_evaluation.tasks.settings import TaskSettings
from storm_exp import InputError, StageContext
from storm_inference.engines.engine import Engine
from storm_models.chat.control_tokens import ControlTokens
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.devices import choose_device, own_device


class Harness:
    """One loaded model, for evaluation by the harness."""

    def __init__(
        self,
        stage: StageContext,
        checkpoint: Checkpoint,
        max_length: int | None,
        dtype: str,
        batch_size: int = 1,
        device: str = "",
    ) -> None:
        """Load the model on the stage's device, or on `device`.

        `batch_size` is for requests outside of tasks.
        """
        self._stage = stage
        self.engine: Engine | None = None
        """What writes answers in the model's place."""
        device = own_device(device or choose_device(stage.runtime.device), stage.world)
        self.version = f"lm_eval {importlib.metadata.version('lm_eval')}"
        self._quantization = checkpoint.config().get("quantization_config") or {}
        with quiet():
            self.tokenizer = checkpoint.tokenizer()
            self.renderer = checkpoint.chat() if checkpoint.has_chat_template() else None
            self.model = checkpoint.load(dtype=dtype, device=device)
        if self.tokenizer.eos_token_id is None:
            self.tokenizer.eos_token = self._stop_token()
        self.rendered: list[str] = []
        """Prompts that are rendered before they are passed to the harness."""
        self.controls = self.renderer.controls if self.renderer else ControlTokens(self.tokenizer)
        self._max_length = max_length
        self._seen: list[tuple[set[int], set[str]]] = []
        """Beginnings of prompts, and remarks on them, by part of what was asked."""
        self.language_model = self._wrap(batch_size, None)

    def _stop_token(self) -> Any:
        """Return a stop token of the model, for a tokenizer without EOS; raises InputError."""
        stated = self.model.generation_config.eos_token_id
        ends = [*(stated if isinstance(stated, list) else [stated])]
        ends += self.renderer.ends if self.renderer else []
        known = [token for token in ends if token is not None]
        if not known:
            raise InputError(
                "the model has no stop token: set eos_token in tokenizer_config.json, or "
                "eos_token_id in generation_config.json"
            )
        return self.tokenizer.convert_ids_to_tokens(known[0])

    def stops(self) -> list[int]:
        """Return the ids of the tokens at which answers end, besides the tasks' own stop texts."""
        ids = self.model.generation_config.eos_token_id
        ends = {*(ids if isinstance(ids, list) else [ids]), self.tokenizer.eos_token_id}
        return sorted(ends - {None})

    def evaluate(
        self,
        tasks: HarnessTasks,
        finished: Callable[[TaskResult], None],
        kept: Mapping[str, KeptAnswers] | None = None,
    ) -> None:
        """Score every document, task by task; `finished` is given each task's result in turn.

        A result depends on its task alone, not on the others. Answers to the questions of a limit
        are taken from what is `kept` of a task, and kept. Raises InputError for tasks that the
        harness cannot score.
        """
        with opened(tasks, self._stage.scratch) as (_, loaded):
            for name, task in loaded.items():
                if name not in tasks.left_out:
                    answers = kept[name] if kept else None
                    finished(self._ask(name, task, tasks.settings[name], tasks.seed, answers))

    def _ask(
        self,
        name: str,
        task: Any,
        settings: TaskSettings,
        seed: int,
        kept: KeptAnswers | None,
    ) -> TaskResult:
        """Evaluate one task."""
        self.language_model = model = self._wrap(settings.batch_size, settings.max_new_tokens)
        draws = settings.limit is not None and settings.limit_seed is not None
        order = drawn(name, len(task.eval_docs), settings) if draws else []
        if settings.limit is not None and kept is not None:
            kept.take(order)
            model.kept = kept
        _seed_everything(seed)
        output = evaluate(
            lm=model,
            task_dict={"tasks": {name: task}, "groups": {}},
            limit=None if draws else settings.limit,
            samples={name: sorted(order)} if draws else None,
            bootstrap_iters=0,
            log_samples=True,
            system_instruction=settings.system_instruction or None,
            apply_chat_template=settings.apply_chat_template,
            fewshot_as_multiturn=settings.fewshot_as_multiturn,
        )
        description = self._description(settings.apply_chat_template, *self._seen[-1])
        return read_result(output, name, task, settings.metric, description)

    def describe(self, chat_template: bool) -> dict[str, Any]:
        """Return the settings that affect scores, besides the weights and the tasks' settings."""
        return merge_descriptions([self._description(chat_template, *each) for each in self._seen])

    def _description(
        self, chat_template: bool, beginnings: set[int], remarks: set[str]
    ) -> dict[str, Any]:
        template = self.renderer.template if self.renderer and chat_template else None
        text = template.text if template else ""
        return {
            "chat_template": hashlib.sha256(text.encode()).hexdigest() if text else None,
            "chat_arguments": template.arguments if template else None,
            "chat_date": template.date if template else None,
            "bos": sorted(beginnings),
            "bos_in_template": "bos_token" in text,
            "remarks": sorted(remarks),
            "max_length": self.language_model.max_length,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "quantization": self._quantization.get("quant_method"),
        }

    def _wrap(self, batch_size: int, max_new_tokens: int | None) -> HarnessModel:
        with quiet():
            model = HarnessModel(
                self.model,
                self.tokenizer,
                self.renderer,
                self._stage,
                batch_size=batch_size,
                max_length=self._max_length,
                max_new_tokens=max_new_tokens,
                engine=self.engine,
            )
        for text in self.rendered:
            model.prompts.note(text)
        self._seen.append((model.beginnings, model.prompts.remarks))
        return model


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
