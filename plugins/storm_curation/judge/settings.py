"""Settings of a judge: the rubric, lengths and batches."""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Self

from storm_curation.judge.rubric import Question, difficulty_question, education_question
from storm_curation.judge.scores import DIFFICULTY, EDUCATION
from storm_exp import SettingError, setting
from storm_inference.engines.settings import TRANSFORMERS, AsksModel
from storm_models.dtype import LoadedDtype
from storm_models.families.attention import longest_prompt
from storm_models.families.model_config import ModelConfig

_SHOWN = 40
"""Characters of the rubric shown in an error."""


class Overlong(Enum):
    """What to do with an example that is too long."""

    shorten = "shorten"
    """Omit its middle; the number of judged tokens is recorded."""
    refuse = "refuse"
    """Do not judge it: status `too_long`."""


@dataclasses.dataclass(kw_only=True)
class JudgeSettings(AsksModel):
    """The rubric, the form of prompts, and the sizes of batches."""

    head: str = (
        "Rate how much a student could learn from this pair of an instruction and its response.\n\n"
    )
    """The rubric, before the example. It is computed once for many rows."""
    example: str = "Instruction:\n{instruction}\n\nResponse:\n{response}"
    """The form of a row in the prompt: a template with {instruction} and {response}."""
    education: Question = dataclasses.field(default_factory=education_question)
    """The question for educational value; its labels are numbers."""
    difficulty: Question = dataclasses.field(default_factory=difficulty_question)
    """The question for difficulty."""
    max_length: int = setting(1024, at_least=1, unit="tokens")
    """The most tokens of a prompt, rubric and chat template included; fewer where the model's
    positions or attention window require it."""
    overlong: Overlong = Overlong.shorten
    """What to do with an example that does not fit in max_length: shorten or refuse."""
    batch_size: int = setting(8, at_least=1, unit="rows")
    """Rows per batch. Batches have a fixed shape, so this is part of the key."""
    pad_to_multiple_of: int = setting(32, at_least=1, unit="tokens")
    """Batches are padded to a multiple of this many tokens."""
    shard_rows: int = setting(512, at_least=1, unit="rows")
    """Rows per shard: the most that an interrupted judge repeats."""
    dtype: LoadedDtype = LoadedDtype.auto
    """The model's dtype: auto (as stored), float32, bfloat16 or float16."""

    def __post_init__(self) -> None:
        self.check_engine()
        if "{response}" not in self.example or "{instruction}" not in self.example:
            problem = "must contain {instruction} and {response}"
            raise SettingError("example", self.example, problem)
        for name, question in self.questions().items():
            question.check(name)
        try:
            numbers = [float(label) for label in self.education.scale()]
        except ValueError:
            numbers = []
        if not numbers or numbers != sorted(numbers):
            problem = "the labels of educational value must be increasing numbers"
            raise SettingError("education.labels", self.education.scale(), problem)

    def questions(self) -> dict[str, Question]:
        """Return the questions by name, in the order in which they are asked."""
        return {EDUCATION: self.education, DIFFICULTY: self.difficulty}

    def fitted(self, config: ModelConfig) -> tuple[Self, str]:
        """Return settings with prompts that the model can read, and what limits them, or ''."""
        longest, reason = longest_prompt(config)
        if longest is not None and self.engine != TRANSFORMERS:
            longest, reason = longest - 1, f"{reason}, and a server writes a token"
        if longest is None or self.max_length <= longest:
            return self, ""
        return dataclasses.replace(self, max_length=longest), reason

    def check_room(self, rubric: int, reason: str = "") -> None:
        """Raise SettingError where a rubric of `rubric` tokens leaves no room for an example.

        `reason` is that of `fitted`: if the model limits prompts, `max_length` is not at fault.
        """
        if rubric < self.max_length:
            return
        if not reason:
            problem = f"leaves no room for an example: the rubric takes {rubric} tokens"
            raise SettingError("max_length", self.max_length, problem)
        shown = self.head if len(self.head) <= _SHOWN else f"{self.head[:_SHOWN]}…"
        problem = (
            f"the rubric takes {rubric} tokens and leaves no room for an example, since {reason}: "
            "shorten head and questions, or judge with a model of a longer context"
        )
        raise SettingError("head", shown, problem)
