from pathlib import Path

import pytest

import storm_tinyworld
from presets import settings
from storm_curation.judge.rubric import judge_chat
from storm_evaluation.tasks.yaml_file import load_task_yaml
from storm_tinyworld.skills import rating
from storm_tinyworld.skills.basic import DIFFICULTIES, Example
from storm_tinyworld.skills.skill_registry import EVERY_FAMILY

LOSS = "tinyworld_loss"
"""Asks what every family of the others asks."""
EXAMPLE = Example("1+2?", "3", "4", "reasoning", "addition", "easy")


@pytest.fixture
def preset():
    return settings("judge/tinyworld/rating")


def test_the_judge_asks_in_the_words_of_the_rating_text(preset):
    assert preset["head"] == rating.HEAD
    assert preset["example"] == rating.EXAMPLE
    assert preset["education"]["text"] == rating.EDUCATION
    assert preset["difficulty"]["text"] == rating.DIFFICULTY
    assert preset["difficulty"]["answers"] == list(rating.DIFFICULTY_ANSWERS.values())
    assert preset["difficulty"]["labels"] == list(DIFFICULTIES)


def test_the_judge_renders_a_row_as_the_rating_text_does(preset):
    row = [
        {"role": "user", "content": EXAMPLE.instruction},
        {"role": "assistant", "content": EXAMPLE.response},
    ]
    for question, shown in (
        ("education", rating.education_chat(EXAMPLE, EXAMPLE.response, 4)),
        ("difficulty", rating.difficulty_chat(EXAMPLE, EXAMPLE.response)),
    ):
        asked = judge_chat(preset["head"], preset["example"], preset[question]["text"], row)
        assert asked == shown[:-1]
        assert shown[-1]["content"] in preset[question]["answers"]


@pytest.fixture
def tags():
    """The tag of every task of skills in the folder, by the task's name."""
    folder = Path(storm_tinyworld.__file__).parent / "tasks"
    tasks = [load_task_yaml(file) for file in sorted(folder.glob("*.yaml"))]
    return {task["task"]: task["tag"] for task in tasks if task["task"] != LOSS}


@pytest.mark.parametrize(
    ("evaluator", "expected"),
    [
        ("skills", {"tinyworld"}),
        ("alignment", {"tinyworld", "tinyworld_alignment"}),
        ("mathematics", {"tinyworld", "tinyworld_arithmetic"}),
        ("language", {"tinyworld", "tinyworld_code"}),
    ],
)
def test_an_evaluator_lists_every_task_of_its_tags(tags, evaluator, expected):
    skills = {name for name, tag in tags.items() if tag in expected}
    assert set(settings(f"evaluator/tinyworld/{evaluator}").tasks) == {LOSS, *skills}


def test_every_task_is_a_family_of_skills(tags):
    assert set(tags) == {f"tinyworld_{family}" for family in EVERY_FAMILY}
