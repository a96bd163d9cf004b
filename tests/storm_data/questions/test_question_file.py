from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from storm_data.questions.question_file import QuestionFile
from storm_data.questions.questions import Question, Questions
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage, run_component


def read(folder: Path, *rows: Any, **settings: Any) -> Questions:
    file = folder / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    made = run_component(QuestionFile(path=str(file), **settings), make_stage(folder))
    assert isinstance(made, Questions)
    return made


def test_questions_are_read_with_what_they_state(tmp_path):
    made = read(
        tmp_path,
        {"id": 7, "task": "sums", "question": "What is 1 + 2?", "answer": 3},
        {"text": "Who asked?", "target": "nobody"},
    )
    first, second = made.questions()
    assert first == Question("7", "sums", "What is 1 + 2?", "3")
    assert (second.task, second.text, second.target) == ("questions", "Who asked?", "nobody")
    assert made.spec().summary() == "2 tasks, 2 questions"


def test_questions_of_one_text_have_ids_of_their_own(tmp_path):
    made = read(tmp_path, {"question": "Who?"}, {"question": "Who?"})
    first, second = (question.id for question in made.questions())
    assert second == f"{first}-2"


def test_questions_without_a_text_are_kept_and_told(tmp_path):
    made = read(tmp_path, {"id": "a", "question": "Who?"}, {"id": "b", "answer": "me"})
    assert [question.text for question in made.questions()] == ["Who?", ""]


def test_a_file_in_which_no_question_has_a_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="none of the 2 questions has a text"):
        read(tmp_path, {"id": "a", "answer": "me"}, {"id": "b", "question": " "})


def test_a_line_that_is_no_object_is_named(tmp_path):
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "Who?"}\n[1]\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 2: not JSON"):
        QuestionFile(path=str(file)).run(make_stage(tmp_path))


def test_a_file_that_is_not_there_is_refused_by_the_plan(tmp_path):
    with pytest.raises(SettingError, match="path"):
        QuestionFile(path=str(tmp_path / "none.jsonl")).plan_spec()
