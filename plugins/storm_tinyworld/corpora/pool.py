"""The component `tinyworld_pool`: the mixed pool to be curated."""

from __future__ import annotations

import itertools
import json

from omegaconf import II

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.rows.arrow_schema import chat_schema
from storm_exp import StageContext, component, setting
from storm_tinyworld.corpora.corpus_settings import few_rows
from storm_tinyworld.corpora.sources import TRUTH, pool_rows
from storm_tinyworld.skills.corruption import UNSEEN_FAMILIES

_ROW_TOKENS = 48.0
"""Mean characters, and so tokens, of a chat."""


@component("dataset", "tinyworld_pool", version=2)
class TinyworldPool:
    """Chats of the miniature world from five sources, about half of them corrupted.

    The columns `truth_…` hold the truth about a row: educational value 1 to 5, difficulty, family
    of corruption (empty: none), skill and the right answer. No instruction occurs twice, or in the
    evaluation. `world.json` names the families of corruption that do not occur in the base model's
    rating text.
    """

    rows: int = setting(4000, at_least=1)
    """Rows to choose from."""
    validation_rows: int = setting(300, at_least=0)
    """Rows held out, drawn like the others, but without corruption."""
    seed: int = II("seed")
    """Seed of the questions and of the corruption of answers."""

    def rehearsal(self) -> TinyworldPool:
        """Return a copy with few rows."""
        return few_rows(self)

    def plan_spec(self) -> DatasetSpec:
        """Return the exact number of rows."""
        splits = {"train": [self.rows] * 2, "validation": [self.validation_rows] * 2}
        columns = ["id", "messages", "tools", "source", *TRUTH]
        return DatasetSpec(splits=splits, columns=columns, row_tokens=_ROW_TOKENS)

    def run(self, stage: StageContext) -> Dataset:
        """Generate the pool."""
        stream = pool_rows(self.seed)
        train = list(itertools.islice(stream, self.rows))
        clean = (row for row in stream if not row["truth_corruption"])
        data, schema = Dataset(stage.directory), chat_schema(**TRUTH)
        data.write("train", train, schema)
        data.write("validation", list(itertools.islice(clean, self.validation_rows)), schema)
        world = json.dumps({"unseen_families": UNSEEN_FAMILIES}, indent=1)
        (stage.directory / "world.json").write_text(world + "\n", encoding="utf-8")
        good = sum(row["truth_quality"] >= 3 for row in train)
        stage.metric("rows", self.rows, main=True)
        stage.metric("share_good", good / self.rows)
        return data
