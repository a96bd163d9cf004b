import itertools
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from storm_curation.curators.keep_all import KeepAll
from storm_curation.curators.random_subset import RandomSubset
from storm_curation.curators.thresholds import Thresholds
from storm_curation.judge.judging import score_schema
from storm_curation.judge.rubric import Question
from storm_curation.judge.scores import Scores, ScoresSpec
from storm_curation.selection.splitting import HeldOut, Splitting
from storm_curation.selection.verdict import EducationBy
from storm_data.dataset import Dataset, DatasetSpec
from storm_data.rows.arrow_schema import chat_schema
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage

QUESTIONS = {
    "education": Question(answers=["1", "2", "3", "4", "5"]),
    "difficulty": Question(answers=["e", "m", "h"], labels=["easy", "medium", "hard"]),
}
SCALES = ScoresSpec(scales={name: q.scale() for name, q in QUESTIONS.items()})


def score(education=5, difficulty="hard", expected=None, mass=1.0, status="ok"):
    if status != "ok":
        return {"status": status, "problem": "it is broken"}
    return {
        "status": "ok",
        "education_label": str(education),
        "education_expected": float(education if expected is None else expected),
        "education_mass": mass,
        "difficulty_label": difficulty,
        "difficulty_mass": 1.0,
    }


def pool(folder, scores, ids=None):
    """A data set with one row per score, an extra column, and the scores of a judge."""
    folder = Path(folder)
    for name in ("data", "scores"):
        (folder / name).mkdir()
    data = Dataset(folder / "data")
    rows = [
        {
            "id": f"r{i}",
            "messages": [
                {"role": "user", "content": f"question {i}"},
                {"role": "assistant", "content": "z" * 1000},
            ],
            "source": "made",
            "depth": i,
        }
        for i in range(len(scores))
    ]
    data.write("train", rows, chat_schema(depth="int64"))
    data.write("validation", rows[:1], chat_schema(depth="int64"))
    names = ids or [row["id"] for row in rows]
    table = [{"id": name, **score} for name, score in zip(names, scores, strict=True)]
    schema = score_schema(QUESTIONS)
    pq.write_table(pa.Table.from_pylist(table, schema=schema), folder / "scores/scores.parquet")
    questions = {name: {"labels": q.scale()} for name, q in QUESTIONS.items()}
    summary = {"rows": len(scores), "questions": questions}
    (folder / "scores/summary.json").write_text(json.dumps(summary))
    return data, Scores(folder / "scores")


def curate(folder, curator, scores, ids=None):
    data, judged = pool(folder, scores, ids)
    stage = make_stage(Path(folder), "curator")
    ports = (data,) if isinstance(curator, KeepAll) else (data, judged)
    return curator.run(stage, *ports), stage


def ids_of(data, split):
    return [row["id"] for row in data.rows(split)]


def funnel_of(stage):
    return json.loads((stage.directory / "funnel.json").read_text())


ANY_SCORE = st.one_of(
    st.builds(
        score,
        education=st.integers(1, 5),
        difficulty=st.sampled_from(["easy", "medium", "hard"]),
        expected=st.floats(1, 5),
        mass=st.floats(0, 1),
    ),
    st.builds(score, status=st.sampled_from(["too_long", "not_finite"])),
)
SIZES = {
    "validation": st.sampled_from([0.0, 0.015, 0.5, 2.0]),
    "train_rows": st.none() | st.integers(1, 10),
    "seed": st.integers(0, 3),
}
LIMITS = {
    "min_education": st.floats(1, 5),
    "education_by": st.sampled_from(EducationBy),
    "min_label_mass": st.floats(0, 1),
}
CURATORS = st.one_of(
    st.builds(Thresholds, **LIMITS, **SIZES),
    st.builds(RandomSubset, **LIMITS, **SIZES),
    st.builds(KeepAll, **SIZES),
)


@given(CURATORS, st.lists(ANY_SCORE, min_size=1, max_size=30))
@hypothesis_settings(max_examples=60, deadline=None)
def test_no_row_is_lost_or_doubled_and_every_rejected_one_has_a_reason(curator, scores):
    with tempfile.TemporaryDirectory() as folder:
        try:
            curated, stage = curate(folder, curator, scores)
        except InputError as error:
            assert "no row is left" in str(error) or "none to train on" in str(error)
            return
        splits = [ids_of(curated, name) for name in ("train", "validation", "rejected")]
        assert sorted(itertools.chain(*splits)) == sorted(f"r{i}" for i in range(len(scores)))
        assert all(row["reason"] for row in curated.rows("rejected"))
        funnel = funnel_of(stage)
        assert funnel["read"] == len(scores)
        assert [funnel["splits"][n] for n in ("train", "validation", "rejected")] == [
            len(ids) for ids in splits
        ]
        left = funnel["read"]
        for step in funnel["steps"]:
            left -= sum(step["rejected"].values())
            assert step["kept"] == left
        assert left == len(splits[0]) + len(splits[1])


CASES = [
    score(3, "medium"),
    score(2, "hard"),
    score(4, "easy"),
    score(5, "hard", mass=0.1),
    score(status="too_long"),
    score(2, "hard", expected=3.5),
    score(4, "hard", expected=2.5),
]


def reasons_of(tmp_path, **settings):
    curated, _ = curate(tmp_path, Thresholds(validation=0, seed=1, **settings), CASES)
    reasons = {row["id"]: row["reason"] for row in curated.rows("rejected")}
    return ids_of(curated, "train"), reasons


def test_storms_thresholds_take_the_most_probable_label_and_say_why_not(tmp_path):
    kept, reasons = reasons_of(tmp_path, min_label_mass=0.5)
    assert kept == ["r0", "r6"]
    assert reasons == {
        "r1": "education 2 < 3",
        "r2": "difficulty easy",
        "r3": "label mass of education < 0.5",
        "r4": "judge: too_long",
        "r5": "education 2 < 3",
    }


def test_the_expected_value_can_decide_instead(tmp_path):
    kept, reasons = reasons_of(tmp_path, education_by=EducationBy.expected, difficulties=["hard"])
    assert kept == ["r3", "r5"]
    assert reasons["r6"] == "expected education < 3"
    assert reasons["r0"] == "difficulty medium"


def test_a_budget_turns_the_rest_away_and_keeps_it(tmp_path):
    curator = Thresholds(train_rows=5, validation=2, seed=1)
    curated, stage = curate(tmp_path, curator, [score()] * 20)
    assert (curated.count("train"), curated.count("validation")) == (5, 2)
    assert funnel_of(stage)["steps"][-1] == {
        "step": "budget",
        "kept": 7,
        "rejected": {"over budget": 13},
    }


def test_columns_and_order_of_the_pool_are_kept(tmp_path):
    curated, _ = curate(tmp_path, Thresholds(validation=0.2, seed=1), [score()] * 20)
    for split, further in (("train", []), ("validation", []), ("rejected", ["reason"])):
        table = curated.table(split)
        assert table.column_names == ["id", "messages", "tools", "source", "depth", *further]
        depths = table.column("depth").to_pylist()
        assert depths == sorted(depths)
    assert curated.spec().splits == {"rejected": [0, 0], "train": [16, 16], "validation": [4, 4]}


def test_the_funnel_shows_examples_of_every_reason(tmp_path):
    scores = [score()] * 20 + [score(1)] * 20 + [score(difficulty="easy")]
    _, stage = curate(tmp_path, Thresholds(seed=1), scores)
    examples = funnel_of(stage)["examples"]
    assert len(examples["kept"]) == len(examples["rejected"]) == 8
    assert {row["reason"] for row in examples["rejected"]} == {"education 1 < 3", "difficulty easy"}
    assert len(examples["kept"][0]["messages"][1]["content"]) < 500


def test_random_subset_draws_as_many_rows_whatever_their_scores(tmp_path):
    scores = [score(i % 5 + 1) for i in range(100)]
    splits = {}
    for cls in (Thresholds, RandomSubset):
        folder = tmp_path / cls.__name__
        folder.mkdir()
        curated, _ = curate(folder, cls(validation=0.1, train_rows=40, seed=3), scores)
        splits[cls] = [ids_of(curated, "train"), ids_of(curated, "validation")]
    chosen, drawn = splits[Thresholds], splits[RandomSubset]
    assert [len(ids) for ids in drawn] == [len(ids) for ids in chosen] == [40, 4]
    low = {f"r{i}" for i in range(100) if i % 5 < 2}
    assert not low.intersection(itertools.chain(*chosen)) and low.intersection(
        itertools.chain(*drawn)
    )


def test_another_seed_holds_other_rows_back(tmp_path):
    held_back = []
    for seed in (1, 1, 2):
        folder = tmp_path / str(len(held_back))
        folder.mkdir()
        curated, _ = curate(folder, KeepAll(validation=5, seed=seed), [score()] * 50)
        held_back.append(ids_of(curated, "validation"))
    assert held_back[0] == held_back[1] != held_back[2]


def test_scores_are_matched_by_id_and_a_row_without_any_is_not_kept(tmp_path):
    scores = [score(1), score(5), score(5)]
    curated, _ = curate(tmp_path, Thresholds(validation=0, seed=1), scores, ["r2", "r0", "other"])
    assert ids_of(curated, "train") == ["r0"]
    reasons = {row["id"]: row["reason"] for row in curated.rows("rejected")}
    assert reasons == {"r1": "judge: not judged", "r2": "education 1 < 3"}


def test_scores_of_another_data_set_are_an_error(tmp_path):
    with pytest.raises(InputError, match="belong to another data set"):
        curate(tmp_path, Thresholds(seed=1), [score(), score()], ["a", "b"])


def test_nothing_left_is_an_error_that_counts_the_reasons(tmp_path):
    scores = [score(1), score(1), score(status="too_long")]
    with pytest.raises(InputError, match=r"no row is left of 3: .*2 × education 1 < 3") as error:
        curate(tmp_path, Thresholds(seed=1), scores)
    assert error.value.settings == {"min_education": 3.0}


def test_nothing_left_names_every_threshold_that_turned_rows_away(tmp_path):
    scores = [score(difficulty="easy"), score(mass=0.1)]
    curator = Thresholds(seed=1, min_label_mass=0.5, difficulties=["medium"])
    with pytest.raises(InputError, match="relax the settings") as error:
        curate(tmp_path, curator, scores)
    assert error.value.settings == {"difficulties": ["medium"], "min_label_mass": 0.5}


@pytest.mark.parametrize("cls", [Thresholds, RandomSubset, KeepAll])
def test_arms_may_be_scored_on_the_data_s_own_held_out_rows(tmp_path, cls):
    curator = cls(held_out=HeldOut.data, validation=0.5, seed=1)
    curated, stage = curate(tmp_path, curator, [score()] * 10)
    assert ids_of(curated, "validation") == ["r0"]
    assert curated.count("train") == 10
    assert funnel_of(stage)["splits"] == {"train": 10, "validation": 1, "rejected": 0}
    assert stage.metrics["rows_kept"] == 10
    assert stage.metrics["validation_rows"] == 1
    ports = [Dataset(tmp_path / "data").spec()]
    if cls is not KeepAll:
        ports.append(Scores(tmp_path / "scores").spec())
    assert curator.plan_spec(*ports).splits["validation"] == [1, 1]


def test_data_without_held_out_rows_cannot_lend_any():
    with pytest.raises(SettingError, match="held_out"):
        KeepAll(held_out=HeldOut.data, seed=1).plan_spec(DatasetSpec(splits={"train": [9, 9]}))


def test_a_validation_split_that_takes_everything_is_an_error(tmp_path):
    with pytest.raises(InputError, match="none to train on"):
        curate(tmp_path, Thresholds(validation=5, seed=1), [score()] * 5)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"min_education": 6}, "min_education"),
        ({"min_education": float("nan")}, "min_education"),
        ({"min_education": 0}, "min_education"),
        ({"difficulties": ["medum"]}, "difficulties"),
    ],
)
@pytest.mark.parametrize("cls", [Thresholds, RandomSubset])
def test_thresholds_outside_the_scale_are_refused_at_plan_time(cls, settings, named):
    with pytest.raises(SettingError) as raised:
        cls(seed=1, **settings).plan_spec(DatasetSpec(), SCALES)
    assert raised.value.setting == named


def test_a_misspelt_difficulty_is_answered_with_the_nearest():
    with pytest.raises(SettingError, match="did you mean 'medium'"):
        Thresholds(difficulties=["medum"]).plan_spec(DatasetSpec(), SCALES)


@pytest.mark.parametrize(
    "settings",
    [
        {"validation": 1.5},
        {"validation": -0.1},
        {"validation": float("nan")},
        {"train_rows": -1},
        {"min_label_mass": 1.1},
        {"difficulties": []},
    ],
)
def test_sizes_and_shares_that_cannot_be_are_refused(settings):
    with pytest.raises(SettingError) as raised:
        Thresholds(**settings)
    assert raised.value.setting in settings


def test_the_forecast_bounds_the_splits_and_the_whole_pool_knows_them():
    data = DatasetSpec(splits={"train": [100, 100]}, columns=["id"])
    assert Thresholds(seed=1).plan_spec(data, SCALES).splits["train"] == [1, 100]
    whole = KeepAll(validation=0.1, train_rows=50, seed=1).plan_spec(data)
    assert whole.splits == {"train": [50, 50], "validation": [6, 6], "rejected": [44, 44]}
    with pytest.raises(InputError, match="no split 'train'"):
        Thresholds(seed=1).plan_spec(DatasetSpec(splits={"test": [1, 1]}), SCALES)


def test_a_share_and_a_budget_say_how_many_rows_to_count_on():
    data = DatasetSpec(splits={"train": [1, 1000]}, columns=["id"], row_tokens=40.0)
    kept = Thresholds(expected_share=0.3, seed=1).plan_spec(data, SCALES)
    assert (kept.likely_rows(), kept.row_tokens) == (300, 40)
    kept = Thresholds(expected_share=0.3, train_rows=50, seed=1).plan_spec(data, SCALES)
    assert kept.splits["train"] == [1, 50]
    assert kept.likely_rows() == 50
    assert KeepAll(seed=1).plan_spec(data).likely_rows() == 1000
    with pytest.raises(SettingError, match="expected_share"):
        Thresholds(expected_share=1.5, seed=1)


@example(2, None, 0.99)
@given(st.integers(2, 10**7), st.none() | st.integers(1, 10**6), st.floats(0, 0.99))
def test_sizes_fit_into_what_is_kept(kept, train_rows, validation):
    train, held_back = Splitting(train_rows=train_rows, validation=validation, seed=1).sizes(kept)
    assert train >= 1 and held_back >= (validation > 0) and train + held_back <= kept
    if not train_rows:
        assert train + held_back == kept


def test_storms_share_is_fifteen_thousand_of_its_975_thousand():
    assert Splitting(validation=0.015, seed=1).sizes(975_000)[1] == pytest.approx(15_000, rel=0.03)
