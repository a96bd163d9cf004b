"""Settings that may differ from task to task: dicts by task over scalar defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from storm_exp import SettingError, did_you_mean, setting


@dataclasses.dataclass(kw_only=True)
class ByTask:
    """What holds for some tasks instead of the evaluator's own value.

    A name is that of a task, or of a group or tag for all its tasks; the most particular counts.
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
        """Raise SettingError for a name that is no task that is asked, nor a group of one."""
        known = set(names)
        for field in dataclasses.fields(self):
            for name in getattr(self, field.name):
                if name not in known:
                    near = did_you_mean(name, known)
                    raise SettingError(
                        f"by_task.{field.name}", name, f"is not among the tasks asked{near}"
                    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """How one task is asked."""

    num_fewshot: int | None = None
    """Examples before a question; None: as the task says."""
    apply_chat_template: bool = True
    fewshot_as_multiturn: bool = False
    system_instruction: str = ""
    batch_size: int = 1
    limit: int | None = None
    limit_seed: int | None = None
    max_new_tokens: int | None = None
    metric: str | None = None
    """None: the first in the task's YAML."""
    shots_by_task: bool = False
    """Whether `num_fewshot` was given for this task, not for all."""

    def together(self) -> tuple[Any, ...]:
        """Return what tasks have to share to be asked in one call of the harness."""
        return (
            self.apply_chat_template,
            self.fewshot_as_multiturn,
            self.system_instruction,
            self.batch_size,
            self.limit if self.limit_seed is None else None,
            self.limit is not None and self.limit_seed is not None,
            self.max_new_tokens,
        )


def resolve(defaults: TaskSettings, by_task: ByTask, names: Sequence[str]) -> TaskSettings:
    """Return a task's settings; `names` are its own and its groups', the most particular first."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(ByTask):
        given = getattr(by_task, field.name)
        for name in names:
            if name in given:
                found[field.name] = given[name]
                found["shots_by_task"] = "num_fewshot" in found
                break
    settings = dataclasses.replace(defaults, **found)
    if not settings.apply_chat_template:
        # Turns are the template's; the harness refuses them without one.
        settings = dataclasses.replace(settings, fewshot_as_multiturn=False)
    return settings
