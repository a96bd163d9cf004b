"""The component `tinyworld_questions`: clean chats for supervised fine-tuning."""

from __future__ import annotations

import itertools
import random
from typing import Any

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.rows.arrow_schema import chat_schema
from storm_exp import StageContext, component, setting
from storm_tinyworld.corpora.corpus_settings import QuestionCorpus
from storm_tinyworld.corpora.sources import TRUTH, chat_row
from storm_tinyworld.skills.basic import Example
from storm_tinyworld.skills.corruption import CLEAN


@component("dataset", "tinyworld_questions", version=1)
class TinyworldQuestions(QuestionCorpus):
    """Questions of the miniature world with right answers, none twice, none of the evaluation's.

    `families` may weight the pool's families, arithmetic, programs, and those of alignment. In a
    chat of several turns, the columns `truth_…` describe the last question.
    """

    turns: int = setting(1, at_least=1)
    """The number of unrelated questions in a chat."""

    def plan_spec(self) -> DatasetSpec:
        """Return the exact number of rows."""
        return self.row_spec(["id", "messages", "tools", "source", *TRUTH])

    def run(self, stage: StageContext) -> Dataset:
        """Generate questions with right answers."""
        stream = self.questions(random.Random(f"questions {self.seed}"))
        data, schema = Dataset(stage.directory), chat_schema(**TRUTH)
        for split, count in (("train", self.rows), ("validation", self.validation_rows)):
            rows = [
                _chat(f"{split}-{number:05d}", list(itertools.islice(stream, self.turns)))
                for number in range(count)
            ]
            data.write(split, rows, schema)
        stage.metric("rows", self.rows, main=True)
        return data


def _chat(identifier: str, asked: list[Example]) -> dict[str, Any]:
    last = asked[-1]
    row = chat_row(identifier, "questions", last, last.response, CLEAN)
    for example in reversed(asked[:-1]):
        earlier = chat_row(identifier, "questions", example, example.response, CLEAN)
        row["messages"] = earlier["messages"] + row["messages"]
    return row
