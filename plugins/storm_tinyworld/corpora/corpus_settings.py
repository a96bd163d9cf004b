"""Settings of the world's corpora: which questions they have, and how many."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar

from omegaconf import II

from storm_data.dataset import DatasetSpec
from storm_exp import InputError, SettingError, setting
from storm_tinyworld.skills.basic import DIFFICULTIES, FAMILIES, Example, examples
from storm_tinyworld.skills.skill_registry import EVERY_FAMILY

S = TypeVar("S")

_PATIENCE = 20_000
"""Consecutive repeated questions after which a stream counts as exhausted."""

_FEW, _FEW_HELD_OUT = 80, 16
"""The most rows of a rehearsal, and held-out rows."""


@dataclasses.dataclass(kw_only=True)
class Corpus:
    """Settings of every corpus of the world."""

    rows: int = setting(2000, at_least=1)
    """Rows to train on."""
    validation_rows: int = setting(100, at_least=0)
    """Rows held out."""
    difficulties: dict[str, float] = setting(dict.fromkeys(DIFFICULTIES, 1.0), at_least=0)
    """Weights of the difficulties."""
    seed: int = II("seed")
    """Seed of the questions."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        check_weights("difficulties", self.difficulties, DIFFICULTIES)

    def rehearsal(self) -> Self:
        """Return a copy with few rows."""
        return few_rows(self)

    def row_spec(self, columns: list[str]) -> DatasetSpec:
        """Return the exact number of rows."""
        splits = {"train": [self.rows] * 2, "validation": [self.validation_rows] * 2}
        return DatasetSpec(splits=splits, columns=columns)


@dataclasses.dataclass(kw_only=True)
class QuestionCorpus(Corpus):
    """Settings of corpora of questions and answers, in which no question occurs twice."""

    families: dict[str, float] = setting(dict.fromkeys(FAMILIES, 1.0), at_least=0)
    """Weights of the skill families."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        check_weights("families", self.families, EVERY_FAMILY)

    def questions(self, draw: random.Random) -> Iterator[Example]:
        """Yield examples without end, none held out and no instruction twice.

        Raises InputError when the families have no more questions.
        """
        seen: set[str] = set()
        repeated = 0
        for example in examples(draw, self.families, self.difficulties, known=EVERY_FAMILY):
            if example.instruction not in seen:
                seen.add(example.instruction)
                repeated = 0
                yield example
                continue
            repeated += 1
            if repeated == _PATIENCE:
                raise InputError(
                    f"rows={self.rows}, validation_rows={self.validation_rows}: the chosen "
                    f"families and difficulties have only {len(seen)} questions"
                )


def check_weights(field: str, weights: dict[str, float], known: Iterable[str]) -> None:
    """Raise SettingError for weights of unknown names, or all 0."""
    names = list(known)
    for name, weight in weights.items():
        if name not in names:
            raise SettingError(f"{field}.{name}", weight, f"must be one of {', '.join(names)}")
    if not sum(weights.values()) > 0:
        raise SettingError(field, weights, "needs a weight above 0")


def few_rows(settings: S) -> S:
    """Return the settings of a corpus or pool with as few rows as a rehearsal needs."""
    source: Any = settings
    few: S = dataclasses.replace(
        source,
        rows=min(source.rows, _FEW),
        validation_rows=min(source.validation_rows, _FEW_HELD_OUT),
    )
    return few
