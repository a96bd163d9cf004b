import pytest

from storm_curation.judge.rubric import Question, judge_chat, render_example
from storm_exp import SettingError

USER = {"role": "user", "content": "Why?"}
ANSWER = {"role": "assistant", "content": "Because."}


def test_a_single_turn_is_shown_without_roles():
    assert render_example("Q {instruction} A {response}", [USER, ANSWER]) == "Q Why? A Because."


def test_earlier_turns_and_the_system_are_part_of_the_instruction():
    system = {"role": "system", "content": "Be kind."}
    text = render_example("{instruction}|{response}", [system, USER, ANSWER, USER, ANSWER, USER])
    assert text == "System: Be kind.\n\nUser: Why?\n\nAssistant: Because.\n\nUser: Why?|Because."


def test_calls_of_tools_are_part_of_what_is_judged():
    calls = '[{"id": "1", "name": "find", "arguments": {"what": "ü"}}]'
    called = {"role": "assistant", "content": "", "tool_calls": calls}
    row = [USER, called, {"role": "tool", "content": "here"}, {**ANSWER, "tool_calls": calls}]
    shown = 'find({"what": "ü"})'
    text = f"User: Why?\n\nAssistant: {shown}\n\nTool: here|Because.\n{shown}"
    assert render_example("{instruction}|{response}", row) == text
    assert render_example("{instruction}|{response}", row[:2]) == f"Why?|{shown}"
    tools = '[{"type": "function", "function": {"name": "find"}}]'
    text = render_example("{instruction}|{response}", row[:2], tools)
    assert text == f"Tools: {tools}\n\nWhy?|{shown}"


def test_the_last_answer_that_may_be_learnt_is_judged():
    row = [USER, ANSWER, USER, {"role": "assistant", "content": "No.", "weight": 0.0}]
    assert render_example("{instruction}|{response}", row) == "Why?|Because."


def test_braces_in_a_row_are_text():
    row = [{"role": "user", "content": "{response} {x}"}, {"role": "assistant", "content": "{0}"}]
    assert render_example("{{}}{instruction}/{response}", row) == "{{}}{response} {x}/{0}"


@pytest.mark.parametrize("row", [[], [USER], [ANSWER]])
def test_a_row_without_an_answer_to_something_cannot_be_shown(row):
    with pytest.raises(ValueError, match="no assistant's answer"):
        render_example("{instruction}{response}", row)


def test_the_chat_is_head_example_and_question_with_nothing_between():
    chat = judge_chat("H:", "{instruction}-{response}", " ok?", [USER, ANSWER])
    assert chat == [{"role": "user", "content": "H:Why?-Because. ok?"}]


def test_labels_that_are_numbers_are_their_own_values_and_others_count_from_zero():
    assert Question(answers=["a", "b"], labels=["1", "5"]).values() == [1, 5]
    assert Question(answers=["a", "b"], labels=["low", "high"]).values() == [0, 1]


@pytest.mark.parametrize(
    ("question", "setting"),
    [
        (Question(answers=["1"]), "q.answers"),
        (Question(answers=["1", "1"]), "q.answers"),
        (Question(answers=["1", "2"], labels=["x"]), "q.labels"),
        (Question(answers=["1", "2"], labels=["x", "x"]), "q.labels"),
    ],
)
def test_a_scale_that_cannot_work_is_named(question, setting):
    with pytest.raises(SettingError) as raised:
        question.check("q")
    assert raised.value.setting == setting
