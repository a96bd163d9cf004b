import json

import pytest

from storm_data.sources.hub_preferences import HubPreferences
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.sources import repository

README = """---
configs:
- config_name: default
  data_files:
  - split: train_prefs
    path: train_prefs.jsonl
  - split: test_prefs
    path: test_prefs.jsonl
---
"""


def pair(question, chosen="yes", rejected="no"):
    turn = {"role": "user", "content": question}
    sides = {"chosen": chosen, "rejected": rejected}
    return {"prompt": question} | {
        name: [turn, {"role": "assistant", "content": text}] for name, text in sides.items()
    }


def write(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """UltraFeedback's layout, its test split sharing a prompt with training, and Orca pairs'."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(repository, "_reachable", lambda: False)
    feedback, orca = tmp_path / "feedback", tmp_path / "orca"
    feedback.mkdir()
    orca.mkdir()
    (feedback / "README.md").write_text(README)
    write(feedback / "train_prefs.jsonl", [pair(f"q{n}") for n in range(8)])
    tests = [pair("q3"), pair("q3", "perhaps"), pair("q0 "), pair("t1"), pair("t2")]
    write(feedback / "test_prefs.jsonl", tests)
    rows = [
        {"system": "", "question": f"o{n}", "chosen": "yes", "rejected": "no"} for n in range(4)
    ]
    write(orca / "train.jsonl", [*rows, {**rows[0], "question": "t1"}])
    return {"feedback": str(feedback), "orca": str(orca)}


def asked(dataset, split):
    return [row["prompt"][0]["content"] for row in dataset.rows(split)]


def component(folders, **settings):
    given = {"training_splits": {"feedback": "train_prefs"}, "seed": 0, **settings}
    return HubPreferences(sources=folders, **given)


def test_only_the_named_splits_are_read_and_nothing_held_out_is_trained_on(folders, tmp_path):
    held_out = {"feedback": "test_prefs"}
    dataset = component(folders, validation_splits=held_out).run(make_stage(tmp_path))
    train, validation = asked(dataset, "train"), asked(dataset, "validation")
    assert set(train) == {*(f"q{n}" for n in range(8)), *(f"o{n}" for n in range(4)), "t1"}
    assert validation == ["t2"]
    rejected = [(row["reason"], row["line"]) for row in dataset.rows("rejected")]
    assert rejected == [("duplicate", line) for line in (1, 2, 3, 4)]


def test_without_a_named_validation_split_no_test_row_is_read(folders, tmp_path):
    dataset = component(folders, validation_rows=2).run(make_stage(tmp_path))
    read = asked(dataset, "train") + asked(dataset, "validation")
    assert len(read) == 13 and "t2" not in read
    assert dataset.count("validation") == 2


def test_a_split_that_is_not_there_is_an_error_that_names_those_that_are(folders, tmp_path):
    with pytest.raises(InputError, match=r"\(feedback\) cannot be read.*train_prefs"):
        HubPreferences(sources=folders, seed=0).run(make_stage(tmp_path))


def test_the_forecast_holds(folders, tmp_path):
    expected = {"feedback": 8, "orca": 5}
    for settings in ({"validation_splits": {"feedback": "test_prefs"}}, {"validation_rows": 3}):
        made = component(folders, expected_rows=expected, **settings)
        facts = made.run(make_stage(tmp_path, next(iter(settings)))).spec()
        spec = made.plan_spec()
        for name, (low, high) in spec.splits.items():
            assert low <= facts.splits[name][0] <= high
        assert facts.columns == spec.columns


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"validation_splits": {"feedback": "train_prefs"}}, "also the training split"),
        ({"validation_splits": {"orca": "train"}}, "also the training split"),
        ({"validation_splits": {"orca": "test"}, "validation_rows": 3}, "what is held out"),
        ({"validation_splits": {"orka": "test"}}, "did you mean 'orca'"),
        ({"training_splits": {"orka": "test"}}, "did you mean 'orca'"),
    ],
)
def test_settings_that_cannot_work_are_refused(folders, settings, problem):
    with pytest.raises(SettingError, match=problem):
        component(folders, **settings)
