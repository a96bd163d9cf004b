"""Sample rows for lm-eval's tasks: the tasks of every preset can be rehearsed."""

from __future__ import annotations

import pytest

from presets import PRESETS, component, instance
from storm_evaluation.harness.lm_eval import LmEval
from storm_evaluation.tasks.samples import sample_of, sample_rows
from storm_exp import SettingError


def presets():
    """Return {preset: its evaluator} for every preset of the harness's own tasks."""
    found = {name: instance(name) for name in PRESETS if component(name) == "lm_eval"}
    return {name: each for name, each in found.items() if not each.task_folder}


@pytest.mark.parametrize("name", presets())
def test_every_task_of_a_preset_is_rehearsed_with_its_own_shots_and_flags(name):
    real = presets()[name]
    small = real.rehearsal()
    assert small.tasks == real.tasks
    assert small.fetches() == []
    asked, rehearsed = real.asked(), small.asked()
    assert set(asked) == set(rehearsed)
    for task, (_, settings) in asked.items():
        few = rehearsed[task][1]
        assert few.limit == 1
        for flag in ("num_fewshot", "apply_chat_template", "fewshot_as_multiturn", "metric"):
            assert getattr(few, flag) == getattr(settings, flag), (task, flag)


def test_a_task_without_rows_of_ours_is_left_out_and_named():
    evaluator = LmEval(tasks=["arc_easy", "lambada_openai"])
    assert evaluator.rehearsal().tasks == ["arc_easy"]
    assert evaluator.rehearsal().stands_for == "made-up rows in the schema of its tasks"
    assert evaluator.stands_for == ""
    assert "the task lambada_openai" in evaluator.not_rehearsed()
    with pytest.raises(SettingError, match="no sample rows for any of their data sets"):
        LmEval(tasks=["lambada_openai"]).rehearsal()


def test_rows_differ_within_and_between_splits():
    rows = sample_rows(sample_of("cais/mmlu"), "A", 40)
    questions = [row["question"] for split in rows.values() for row in split]
    assert len(set(questions)) == len(questions) == 120


def test_the_tasks_of_a_family_share_a_sample():
    assert sample_of("hails/agieval-aqua-rat") == sample_of("hails/agieval-sat-math")
    assert sample_of("cais/nothing") is None


def test_an_answer_is_one_that_the_task_lets_choose_from():
    rows = sample_rows(sample_of("SaylorTwift/bbh"), "False", 3)
    assert [row["target"] for row in rows["test"]] == ["False"] * 3
