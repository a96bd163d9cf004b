from pathlib import Path

import pytest
import yaml

from storm_curation.rubric import judge_chat
from storm_tinyworld import rating
from storm_tinyworld.skills import DIFFICULTIES, Example

CONF = Path(__file__).parents[2] / "conf"
EXAMPLE = Example("1+2?", "3", "4", "reasoning", "addition", "easy")


@pytest.fixture
def preset():
    return yaml.safe_load((CONF / "judge" / "tinyworld.yaml").read_text(encoding="utf-8"))


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


def test_the_evaluator_lists_every_task_of_the_folder():
    evaluator = yaml.safe_load((CONF / "evaluator" / "tinyworld.yaml").read_text(encoding="utf-8"))
    folder = CONF.parent / "plugins" / "storm_tinyworld" / "tasks"
    names = [yaml.safe_load(file.read_text())["task"] for file in sorted(folder.glob("*.yaml"))]
    assert evaluator["tasks"] == names
