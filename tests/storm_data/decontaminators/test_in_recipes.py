"""A decontaminator in recipes: what it changes, what it leaves, and what a plan refuses."""

from __future__ import annotations

import pytest

from storm_exp import StormError
from storm_exp.testing import plan

CLEANED = [
    "+questions=evaluated",
    "+decontaminator=tinyworld/ngrams",
    "+graph.decontaminator={data: dataset, questions: questions}",
    "graph.judge.data=decontaminator",
    "graph.curator.data=decontaminator",
]


def keys(folder, *words: str) -> dict[str, str]:
    return {artifact.label: artifact.key for artifact in plan(folder, *words).nodes.values()}


def test_a_recipe_takes_it_as_two_stages_and_what_is_above_keeps_its_keys(tmp_path):
    plain, cleaned = keys(tmp_path, "recipe=smoke"), keys(tmp_path, "recipe=smoke", *CLEANED)
    assert cleaned.keys() - plain.keys() == {"questions", "decontaminator"}
    same = {name for name in plain if plain[name] == cleaned[name]}
    assert {"base_model", "dataset", "scanner", "evaluator[base_model]"} <= same
    assert not {"judge", "curator", "finetuner", "evaluator[finetuner]"} & same


def test_without_questions_it_is_refused(tmp_path):
    with pytest.raises(StormError, match="questions"):
        plan(tmp_path, "recipe=smoke", *CLEANED, "graph.decontaminator.questions=null")


def test_the_questions_are_those_of_the_evaluator_of_the_recipe(tmp_path):
    found = plan(tmp_path, "recipe=smoke", *CLEANED, "evaluator.tasks=[tinyworld_code]")
    spec = next(a.spec for a in found.nodes.values() if a.label == "questions")
    assert spec.tasks == ["tinyworld_code"]


@pytest.mark.parametrize(("setting", "value"), [("n", 0), ("n", 51), ("share", 0), ("share", 1.1)])
def test_settings_have_bounds(tmp_path, setting, value):
    with pytest.raises(StormError, match=f"decontaminator.{setting}"):
        plan(tmp_path, "recipe=smoke", *CLEANED, f"decontaminator.{setting}={value}")
