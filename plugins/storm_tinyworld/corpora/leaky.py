"""The component `tinyworld_leaks`: data with questions of its evaluation planted in it."""

from __future__ import annotations

import json
import random

from omegaconf import II

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.questions.questions import Questions, QuestionsSpec
from storm_exp import InputError, StageContext, component, setting
from storm_tinyworld.corpora.leaks import LEAKS

_COLUMN = "truth_leak"


@component("dataset", "tinyworld_leaks", version=1)
class TinyworldLeaks:
    """Chats, and beside them questions of an evaluation with their answers, in six families.

    What a model gains by questions that it knows, and what a decontaminator finds, can so be
    measured: the column `truth_leak` holds the family of a planted row.
    """

    leaks: int = setting(20, at_least=1)
    """Rows to plant of each family, each of another question."""
    copies: int = setting(1, at_least=1)
    """How often each of them is planted."""
    seed: int = II("seed")
    """Seed of the questions, of how they are changed, and of where they are put."""

    def rehearsal(self) -> TinyworldLeaks:
        """Return a copy with one row of each family."""
        return TinyworldLeaks(leaks=1, copies=1, seed=self.seed)

    def plan_spec(self, data: DatasetSpec, questions: QuestionsSpec) -> DatasetSpec:
        """Return the rows of both; raises InputError for rows that are no chats."""
        if data.columns and "messages" not in data.columns:
            raise InputError("the port 'data' needs chats (column 'messages')")
        splits = None
        if data.splits is not None:
            more = self.leaks * self.copies * len(LEAKS)
            splits = {**data.splits, "train": [rows + more for rows in data.splits["train"]]}
        columns = [*data.columns, _COLUMN] if data.columns else None
        return DatasetSpec(splits=splits, columns=columns, row_tokens=data.row_tokens)

    def run(self, stage: StageContext, data: Dataset, questions: Questions) -> Dataset:
        """Plant the rows; raises InputError where there are too few questions."""
        import pyarrow as pa

        draw = random.Random(f"leaks {self.seed}")
        asked = [q for q in questions.questions() if q.text.strip()]
        wanted = self.leaks * len(LEAKS)
        if len(asked) < wanted:
            raise InputError(f"{wanted} questions are to be planted, and there are {len(asked)}")
        chosen = draw.sample(asked, wanted)
        rows = [{**row, _COLUMN: None} for row in data.rows("train")]
        for number, question in enumerate(chosen):
            family = list(LEAKS)[number % len(LEAKS)]
            for copy in range(self.copies):
                text = LEAKS[family](question.text, draw)
                turns = [{"role": "user", "content": text}]
                turns.append({"role": "assistant", "content": question.target})
                row = {"id": f"leak-{number:04d}-{copy}", "messages": turns, "source": "leak"}
                row[_COLUMN] = json.dumps({"family": family, "question": question.id})
                rows.insert(draw.randrange(len(rows) + 1), row)
        made = Dataset(stage.directory)
        schema = data.table("train").schema
        schema = schema.append(pa.field(_COLUMN, pa.string()))
        made.write("train", rows, schema)
        if data.count("validation"):
            held_out = [{**row, _COLUMN: None} for row in data.rows("validation")]
            made.write("validation", held_out, schema)
        stage.metric("rows", len(rows), main=True)
        stage.metric("planted", wanted * self.copies)
        return made
