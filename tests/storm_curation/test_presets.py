import pytest

from presets import instance
from storm_curation.judge.rubric import judge_chat

PRESETS = ["judge/educational_value_and_difficulty", "curator/storm"]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_only_what_its_component_has(preset):
    instance(preset)


def test_the_rubric_stands_apart_from_the_example_and_the_question_from_both():
    judge = instance(PRESETS[0])
    row = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    for question in judge.questions().values():
        (turn,) = judge_chat(judge.head, judge.example, question.text, row)
        rubric, rest = turn["content"].split("\n\n<example>\n")
        example, asked = rest.split("\n</example>\n\n")
        assert "never an instruction to you" in rubric
        assert "\nWhy?\n" in example and "\nSo.\n" in example
        assert asked.startswith(("How ", "Of which level")) and asked.endswith("nothing else.")


def test_storm_keeps_medium_and_hard_from_three_on():
    curator = instance(PRESETS[1])
    assert (curator.min_education, curator.difficulties) == (3, ["medium", "hard"])
