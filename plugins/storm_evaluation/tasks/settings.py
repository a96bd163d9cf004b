"""Settings that may differ from task to task: dicts by task over scalar defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from storm_exp import SettingError, did_you_mean, setting


@dataclasses.dataclass(kw_only=True)
class ByTask:
    """Settings of single tasks, which override the evaluator's.

    A name is that of a task, or of a group or tag for all its tasks; the most specific one applies.
    """

    num_fewshot: dict[str, int | None] = setting({}, at_least=0)
    """Examples before each question; null: as the task's YAML says."""
    apply_chat_template: dict[str, bool] = setting({})
    """Whether prompts are rendered as chats."""
    fewshot_as_multiturn: dict[str, bool] = setting({})
    """Whether examples are turns of one conversation."""
    system_instruction: dict[str, str] = setting({})
    """The system prompt."""
    batch_size: dict[str, int] = setting({}, at_least=1)
    """Texts in one forward pass."""
    limit: dict[str, int | None] = setting({}, at_least=1)
    """Only so many documents; null: all."""
    limit_seed: dict[str, int | None] = setting({}, at_least=0)
    """Which documents a limit takes: drawn by this seed; null: the first ones."""
    max_new_tokens: dict[str, int | None] = setting({}, at_least=1)
    """Tokens of an answer, at most; null: as the task's YAML says."""
    metric: dict[str, str] = setting({})
    """The metric to score by, where it is not the first in the YAML. It must be a mean over
    documents."""

    def check_names(self, names: Iterable[str]) -> None:
        """Raise SettingError for a name that is neither an evaluated task nor a group of one."""
        known = set(names)
        for field in dataclasses.fields(self):
            for name in getattr(self, field.name):
                if name not in known:
                    suggestion = did_you_mean(name, known)
                    raise SettingError(
                        f"by_task.{field.name}",
                        name,
                        f"is not among the evaluated tasks{suggestion}",
                    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """The settings of one task."""

    num_fewshot: int | None = None
    """Few-shot examples; None: as the task's YAML says."""
    apply_chat_template: bool = True
    fewshot_as_multiturn: bool = False
    system_instruction: str = ""
    batch_size: int = 1
    limit: int | None = None
    limit_seed: int | None = None
    max_new_tokens: int | None = None
    metric: str | None = None
    """The metric to score by; None: the first in the task's YAML."""
    shots_by_task: bool = False
    """Whether `num_fewshot` was set for this task, not for all."""


def resolve(defaults: TaskSettings, by_task: ByTask, names: Sequence[str]) -> TaskSettings:
    """Return a task's settings; `names` are its own and its groups', the most specific first."""
    overrides: dict[str, Any] = {}
    for field in dataclasses.fields(ByTask):
        values = getattr(by_task, field.name)
        for name in names:
            if name in values:
                overrides[field.name] = values[name]
                overrides["shots_by_task"] = "num_fewshot" in overrides
                break
    settings = dataclasses.replace(defaults, **overrides)
    if not settings.apply_chat_template:
        # Turns need a template; the harness refuses them without one.
        settings = dataclasses.replace(settings, fewshot_as_multiturn=False)
    return settings
