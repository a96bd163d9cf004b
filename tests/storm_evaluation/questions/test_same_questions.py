"""What a decontaminator is given are the questions that evaluators ask, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.toy_inputs import configured
from storm_data.dataset import Dataset
from storm_data.questions.questions import Question, Questions
from storm_data.rows.arrow_schema import chat_schema, document_schema, preference_schema
from storm_evaluation.evaluation import Evaluation
from storm_evaluation.function_calling.tool_calls import ToolCalls
from storm_evaluation.harness.lm_eval import LmEval
from storm_evaluation.held_out.held_out import LOSS, HeldOut
from storm_evaluation.held_out.held_out_pairs import HeldOutPairs
from storm_evaluation.held_out.held_out_text import HeldOutText
from storm_evaluation.questions.held_out_questions import HeldOutQuestions
from storm_evaluation.questions.task_questions import TaskQuestions
from storm_evaluation.questions.tool_questions import ToolQuestions
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage, run_component
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint


def evaluate(folder: Path, settings: Any, *inputs: Any) -> Evaluation:
    made = run_component(settings, make_stage(folder, "evaluation"), *inputs)
    assert isinstance(made, Evaluation)
    return made


def read(folder: Path, settings: Any, *inputs: Any) -> list[Question]:
    made = run_component(settings, make_stage(folder, "questions"), *inputs)
    assert isinstance(made, Questions)
    return list(made.questions())


@pytest.mark.parametrize("drawn", [{}, {"limit": 5}, {"limit": 5, "limit_seed": 3}])
def test_tasks_of_the_harness(
    tmp_path: Path, checkpoint: Checkpoint, task_folder: Path, drawn: dict[str, int]
) -> None:
    chosen = {"tasks": ["choose", "write"], "task_folder": str(task_folder), **drawn}
    asked = evaluate(
        tmp_path, configured(LmEval, **chosen, max_new_tokens=2, max_length=64), checkpoint
    )
    questions = read(tmp_path, TaskQuestions(**chosen))
    known = [(sample.task, sample.document) for sample in asked.samples()]
    assert [(question.task, question.id) for question in questions] == known
    assert len(known) == 2 * drawn.get("limit", 20)
    for sample, question in zip(asked.samples(), questions, strict=True):
        assert question.text in sample.prompt
        assert question.target == sample.target


def test_held_out_chats(tmp_path: Path, checkpoint: Checkpoint) -> None:
    rows = [("a long question", f"answer {n}") for n in range(4)] + [("twice", "so")] * 2
    messages = [
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
        for question, answer in rows
    ]
    data = dataset(tmp_path, [{"messages": chat} for chat in messages], chat_schema())
    asked = evaluate(tmp_path, HeldOut(limit=6), checkpoint, data)
    questions = read(tmp_path, HeldOutQuestions(), data)
    losses = [s.document.rpartition("-")[0] for s in asked.samples() if s.task == LOSS]
    assert {question.id.partition("-")[0] for question in questions} == set(losses)
    assert [(q.text, q.target) for q in questions] == rows


def test_held_out_documents(tmp_path: Path, checkpoint: Checkpoint) -> None:
    rows = [{"text": f"Once there were {n} birds."} for n in range(3)]
    data = dataset(tmp_path, rows, document_schema())
    asked = evaluate(tmp_path, HeldOutText(limit=3), checkpoint, data)
    questions = read(tmp_path, HeldOutQuestions(), data)
    assert [q.id for q in questions] == [s.document.rpartition("-")[0] for s in asked.samples()]
    assert [question.text for question in questions] == [row["text"] for row in rows]


def test_held_out_pairs(tmp_path: Path, checkpoint: Checkpoint) -> None:
    def said(role: str, text: str) -> list[dict[str, str]]:
        return [{"role": role, "content": text}]

    rows = [
        {
            "prompt": said("user", f"Is {n} good?"),
            "chosen": said("assistant", "yes"),
            "rejected": said("assistant", "no"),
        }
        for n in range(3)
    ]
    data = dataset(tmp_path, rows, preference_schema())
    asked = evaluate(tmp_path, HeldOutPairs(limit=3), checkpoint, data)
    questions = read(tmp_path, HeldOutQuestions(), data)
    losses = [s.document.rpartition("-")[0] for s in asked.samples() if s.task == LOSS]
    assert [question.id for question in questions] == losses
    assert [(q.text, q.target) for q in questions] == [(f"Is {n} good?", "yes") for n in range(3)]


def test_calls_of_tools(tmp_path: Path) -> None:
    chosen = {"suite": "pkg://storm_tinyworld/function_calls", "categories": ["simple"], "limit": 3}
    model = make_checkpoint(tmp_path / "long", max_position_embeddings=8192)
    asked = evaluate(tmp_path, configured(ToolCalls, **chosen, max_new_tokens=2), model)
    questions = read(tmp_path, ToolQuestions(**chosen))
    known = [(sample.task, sample.document) for sample in asked.samples()]
    assert [(question.task, question.id) for question in questions] == known
    assert all(question.text and question.target for question in questions)


def dataset(folder: Path, rows: list[dict[str, Any]], schema: Any) -> Dataset:
    data = Dataset(folder / "data")
    data.directory.mkdir()
    numbered = [{"id": str(n), "source": "test", **row} for n, row in enumerate(rows)]
    data.write("validation", numbered, schema)
    return data


def test_a_task_that_does_not_exist_is_refused_by_the_plan(task_folder: Path) -> None:
    with pytest.raises(SettingError, match="did you mean 'choose'"):
        TaskQuestions(tasks=["chose"], task_folder=str(task_folder)).plan_spec()
    with pytest.raises(SettingError, match="at least one task"):
        TaskQuestions().plan_spec()


def test_a_split_without_rows_is_refused_by_the_plan(tmp_path: Path) -> None:
    data = dataset(tmp_path, [{"text": "Once."}], document_schema())
    with pytest.raises(SettingError, match="has no rows; the data set has: validation"):
        HeldOutQuestions(split="test").plan_spec(data.spec())


def test_rows_of_which_none_asks_anything_are_refused(tmp_path: Path) -> None:
    row = {"messages": [{"role": "assistant", "content": "Hello."}]}
    data = dataset(tmp_path, [row], chat_schema())
    with pytest.raises(InputError, match="none of the 1 questions has a text"):
        read(tmp_path, HeldOutQuestions(), data)
