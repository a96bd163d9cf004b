import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm_curation.curators.highest_value import HighestValue
from storm_curation.judge.judging import score_schema
from storm_curation.judge.rubric import Question
from storm_curation.judge.scores import Scores, ScoresSpec
from storm_curation.selection.ranking import share_out
from storm_data.dataset import Dataset, DatasetSpec
from storm_data.rows.arrow_schema import chat_schema
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage

QUESTIONS = {
    "education": Question(answers=["1", "2", "3", "4", "5"]),
    "difficulty": Question(answers=["e", "m", "h"], labels=["easy", "medium", "hard"]),
}
OPEN = {"min_education": 1.0, "difficulties": ["easy", "medium", "hard"], "validation": 0.0}


def pool(folder, rows):
    """Data and scores of rows (source, expected educational value); None: could not be judged."""
    for name in ("data", "scores"):
        (folder / name).mkdir(parents=True)
    data = Dataset(folder / "data")
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    chats = [
        {"id": f"r{i}", "messages": turns, "source": source} for i, (source, _) in enumerate(rows)
    ]
    data.write("train", chats, chat_schema())
    scores = [
        {"id": f"r{i}", "status": "too_long", "problem": "it is too long"}
        if value is None
        else {
            "id": f"r{i}",
            "status": "ok",
            "education_label": str(round(value)),
            "education_expected": value,
            "education_mass": 1.0,
            "difficulty_label": "hard",
            "difficulty_mass": 1.0,
        }
        for i, (_, value) in enumerate(rows)
    ]
    table = pa.Table.from_pylist(scores, schema=score_schema(QUESTIONS))
    pq.write_table(table, folder / "scores/scores.parquet")
    summary = {
        "rows": len(rows),
        "questions": {n: {"labels": q.scale()} for n, q in QUESTIONS.items()},
    }
    (folder / "scores/summary.json").write_text(json.dumps(summary))
    return data, Scores(folder / "scores")


def curate(folder, rows, **settings):
    curator = HighestValue(**{**OPEN, "seed": 0, **settings})
    return curator.run(make_stage(folder, "curator"), *pool(folder, rows))


def kept(curated, *splits):
    return {int(row["id"][1:]) for split in splits for row in curated.rows(split)}


def test_the_best_of_all_are_kept_whatever_their_source(tmp_path):
    values = random.Random(0).sample(range(100, 500), 60)
    rows = [("web" if i % 3 else "book", value / 100) for i, value in enumerate(values)]
    curated = curate(tmp_path, rows, train_rows=12, by_source=False)
    assert kept(curated, "train") == {values.index(value) for value in sorted(values)[-12:]}


def test_every_source_gives_its_own_best(tmp_path):
    rows = [("book", 4.0 + i / 100) for i in range(30)] + [
        ("web", 2.0 + i / 100) for i in range(30)
    ]
    curated = curate(tmp_path, rows, train_rows=10)
    assert kept(curated, "train") == {*range(25, 30), *range(55, 60)}


def test_thresholds_come_first_and_every_rejected_row_has_its_reason(tmp_path):
    rows = [("web", value) for value in (5.0, 4.5, 4.2, 2.0, None)]
    curated = curate(tmp_path, rows, train_rows=2, min_education=3.0)
    assert kept(curated, "train") == {0, 1}
    reasons = {row["id"]: row["reason"] for row in curated.rows("rejected")}
    assert reasons == {
        "r2": "others are worth more",
        "r3": "education 2 < 3",
        "r4": "judge: too_long",
    }


def test_validation_is_drawn_from_the_best_too(tmp_path):
    rows = [("web", 1 + i / 50) for i in range(200)]
    curated = curate(tmp_path, rows, train_rows=20, validation=5.0)
    assert (curated.count("train"), curated.count("validation")) == (20, 5)
    assert kept(curated, "train", "validation") == set(range(175, 200))
    assert kept(curated, "validation") != set(range(175, 180))


def test_a_budget_beyond_the_pool_keeps_all_of_it(tmp_path):
    curated = curate(tmp_path, [("web", 3.0), ("book", 2.0)], train_rows=10)
    assert kept(curated, "train") == {0, 1}


def test_equals_are_taken_as_the_seed_says(tmp_path):
    rows = [("web", 3.0)] * 40
    chosen = [
        kept(curate(tmp_path / name, rows, train_rows=10, seed=seed), "train")
        for name, seed in (("one", 0), ("again", 0), ("other", 1))
    ]
    assert chosen[0] == chosen[1] != chosen[2]


@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 50), min_size=1, max_size=6),
    st.integers(0, 200),
)
def test_a_budget_is_shared_out_evenly_and_no_row_of_it_is_lost(counts, budget):
    shares = share_out(budget, counts)
    assert sum(shares.values()) == min(budget, sum(counts.values()))
    assert all(0 <= shares[name] <= counts[name] for name in counts)
    short = [shares[name] for name in counts if shares[name] < counts[name]]
    if short:
        assert max(short) - min(short) <= 1
        assert all(share <= max(short) for share in shares.values())


def test_the_forecast_ends_at_the_budget():
    data = DatasetSpec(splits={"train": [100, 5000]}, columns=["id", "messages", "source"])
    spec = HighestValue(train_rows=200, seed=0).plan_spec(data, ScoresSpec())
    assert spec.splits["train"] == [1, 200]
    assert spec.splits["validation"] == [0, 3]
    assert spec.likely_rows() == 200


def test_a_budget_is_needed_and_sources_to_share_it_over():
    with pytest.raises(SettingError, match="train_rows"):
        HighestValue(seed=0)
    data = DatasetSpec(columns=["id", "messages"])
    with pytest.raises(InputError, match="column 'source'"):
        HighestValue(train_rows=5, seed=0).plan_spec(data, ScoresSpec())
