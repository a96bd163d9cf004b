"""How a judge asks: the rubric, the room for an example, and batches."""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Self

from storm_curation.judge.rubric import Question, difficulty_question, education_question
from storm_curation.judge.scores import DIFFICULTY, EDUCATION
from storm_exp import SettingError, setting
from storm_models.dtype import LoadedDtype
from storm_models.families.attention import longest_prompt
from storm_models.families.model_config import ModelConfig

_SHOWN = 40
"""Characters of the rubric that an error shows."""


class Overlong(Enum):
    """What happens to an example that does not fit."""

    shorten = "shorten"
    """Its middle is left out; how much was judged is recorded."""
    refuse = "refuse"
    """It is not judged: status `too_long`."""


@dataclasses.dataclass(kw_only=True)
class JudgeSettings:
    """The rubric, how rows are shown, and how many at once."""

    head: str = (
        "Rate how much a student could learn from this pair of an instruction and its response.\n\n"
    )
    """The rubric, before the example. Computed once for many rows."""
    example: str = "Instruction:\n{instruction}\n\nResponse:\n{response}"
    """How a row is shown: a template with {instruction} and {response}."""
    education: Question = dataclasses.field(default_factory=education_question)
    """The question for educational value; its labels are numbers."""
    difficulty: Question = dataclasses.field(default_factory=difficulty_question)
    """The question for difficulty."""
    max_length: int = setting(1024, at_least=1, unit="tokens")
    """Tokens of a prompt, rubric and template included, at most; fewer where the model's positions
    or its attention window hold no more."""
    overlong: Overlong = Overlong.shorten
    """What happens to an example that does not fit in max_length."""
    batch_size: int = setting(8, at_least=1, unit="rows")
    """Rows in a batch. Batches have a fixed shape, so this is part of the key."""
    pad_to_multiple_of: int = setting(32, at_least=1, unit="tokens")
    """Batches are padded to a multiple of this many tokens."""
    shard_rows: int = setting(512, at_least=1, unit="rows")
    """Rows in a shard: what a killed judge loses at most."""
    dtype: LoadedDtype = LoadedDtype.auto
    """auto (as stored), float32, bfloat16 or float16: what the model is loaded and run in."""

    def __post_init__(self) -> None:
        if "{response}" not in self.example or "{instruction}" not in self.example:
            problem = "needs the places {instruction} and {response}"
            raise SettingError("example", self.example, problem)
        for name, question in self.questions().items():
            question.check(name)
        try:
            numbers = [float(label) for label in self.education.scale()]
        except ValueError:
            numbers = []
        if not numbers or numbers != sorted(numbers):
            problem = "the labels of educational value must be numbers that rise"
            raise SettingError("education.labels", self.education.scale(), problem)

    def questions(self) -> dict[str, Question]:
        """Return the questions by name, in the order in which they are asked."""
        return {EDUCATION: self.education, DIFFICULTY: self.difficulty}

    def fitted(self, config: ModelConfig) -> tuple[Self, str]:
        """Return settings whose prompts the model can read, and what shortened them, or ''."""
        longest, reason = longest_prompt(config)
        if longest is None or self.max_length <= longest:
            return self, ""
        return dataclasses.replace(self, max_length=longest), reason

    def check_room(self, rubric: int, reason: str = "") -> None:
        """Raise SettingError for a rubric of so many tokens that no example fits behind it.

        `reason` is what `fitted` says of settings that the model shortened: then not `max_length`
        is to be changed.
        """
        if rubric < self.max_length:
            return
        if not reason:
            problem = f"leaves no room for an example: the rubric takes {rubric} tokens"
            raise SettingError("max_length", self.max_length, problem)
        shown = self.head if len(self.head) <= _SHOWN else f"{self.head[:_SHOWN]}…"
        problem = (
            f"the rubric takes {rubric} tokens and leaves no room for an example, as {reason}: "
            "shorten head and questions, or judge with a model that reads more"
        )
        raise SettingError("head", shown, problem)
