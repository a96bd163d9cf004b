"""The component `tinyworld_preferences`: a right and a corrupted answer to the same question."""

from __future__ import annotations

import itertools
import random
from typing import Any

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.rows.arrow_schema import preference_schema
from storm_exp import SettingError, StageContext, component, setting
from storm_tinyworld.corpora.corpus_settings import QuestionCorpus, check_weights
from storm_tinyworld.skills.basic import Example
from storm_tinyworld.skills.corruption import POOL_FAMILIES, corrupt

TRUTH = dict.fromkeys(
    ("truth_corruption", "truth_difficulty", "truth_skill", "truth_family"), "string"
)
"""The columns of truth, with their Arrow types."""

ABLE = ("mistake", "chatter", "babble", "echo")
"""Families of corruption that change every answer, even a single letter."""


@component("dataset", "tinyworld_preferences", version=1)
class TinyworldPreferences(QuestionCorpus):
    """Pairs for preference tuning: chosen is the right answer, rejected a corrupted one.

    No question occurs twice, or in the evaluation. The columns `truth_…` describe the question and
    the corruption of the rejected answer.
    """

    corruption: dict[str, float] = setting(
        dict.fromkeys(POOL_FAMILIES, 1.0) | {"mistake": 4.0}, at_least=0
    )
    """Weights of the families of corruption; by default mostly wrong results in the right form."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        check_weights("corruption", self.corruption, POOL_FAMILIES)
        if not any(self.corruption.get(family, 0) > 0 for family in ABLE):
            problem = f"needs one of {', '.join(ABLE)}: others leave an answer of one letter"
            raise SettingError("corruption", self.corruption, problem)

    def plan_spec(self) -> DatasetSpec:
        """Return the exact number of rows."""
        return self.row_spec(["id", "prompt", "chosen", "rejected", "tools", "source", *TRUTH])

    def run(self, stage: StageContext) -> Dataset:
        """Generate questions with right and corrupted answers."""
        draw = random.Random(f"preferences {self.seed}")
        stream = self.questions(draw)
        data, schema = Dataset(stage.directory), preference_schema(**TRUTH)
        for split, count in (("train", self.rows), ("validation", self.validation_rows)):
            rows = [
                self._pair(draw, f"{split}-{number:05d}", example)
                for number, example in enumerate(itertools.islice(stream, count))
            ]
            data.write(split, rows, schema)
        stage.metric("rows", self.rows, main=True)
        return data

    def _pair(self, draw: random.Random, identifier: str, example: Example) -> dict[str, Any]:
        answer, family = corrupt(draw, example, POOL_FAMILIES, self.corruption)
        return {
            "id": identifier,
            "prompt": [{"role": "user", "content": example.instruction}],
            "chosen": [{"role": "assistant", "content": example.response}],
            "rejected": [{"role": "assistant", "content": answer}],
            "source": "preferences",
            "truth_corruption": family,
            "truth_difficulty": example.difficulty,
            "truth_skill": example.skill,
            "truth_family": example.family,
        }
