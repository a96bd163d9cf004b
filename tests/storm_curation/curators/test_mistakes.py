"""Birbal's selection: rows that a model gets wrong, more of tasks where it is worse."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from storm_curation.curators.mistakes import Mistakes
from storm_curation.selection.mistakes import tenth
from storm_curation.selection.rouge import rouge_l
from storm_data.dataset import Dataset, DatasetSpec
from storm_data.rows.arrow_schema import chat_schema
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage

WORDS = st.lists(st.sampled_from(["a", "b", "Cat", "dog.", "12", "–"]), max_size=12).map(" ".join)


@given(WORDS, WORDS)
def test_rouge_l_is_that_of_rouge_score(answer, right):
    expected = RougeScorer(["rougeL"]).score(right, answer)["rougeL"].fmeasure
    if any(character.isalnum() for character in answer + right):
        assert rouge_l(answer, right) == pytest.approx(expected)


def test_answers_without_words_are_alike_where_they_are_the_same():
    assert rouge_l("… ", "…") == 1.0
    assert rouge_l("+", "-") == 0.0
    assert rouge_l("…", "a") == 0.0


@pytest.mark.parametrize(
    ("answer", "right", "shared"),
    [
        ("Совсем другое", "Правильный ответ на вопрос", 0.0),
        ("ответ на вопрос", "Правильный ответ на вопрос", 6 / 7),
        ("猫", "狗", 0.0),
        ("Ärger über Öl", "ärger ÜBER öl", 1.0),
    ],
)
def test_words_of_any_script_are_compared(answer, right, shared):
    assert rouge_l(answer, right) == pytest.approx(shared)


def test_what_is_missed_in_another_script_is_kept(tmp_path):
    rows = [(str(n), "слова", f"Правильный ответ на вопрос номер {n}") for n in range(10)]
    wrong = [(name, task, "Совсем другое") for name, task, _ in rows]
    curated, *_ = select(tmp_path, rows, wrong)
    assert len(list(curated.rows("train"))) == 8


def chats(folder, rows) -> Dataset:
    """Write (id, task, answer) as chats."""
    folder.mkdir()
    data = Dataset(folder)
    data.write(
        "train",
        [
            {
                "id": name,
                "messages": [
                    {"role": "user", "content": f"question {name}"},
                    {"role": "assistant", "content": answer},
                ],
                "source": task,
            }
            for name, task, answer in rows
        ],
        chat_schema(),
    )
    return data


def select(folder, right, answers, **settings):
    curator = Mistakes(**{"validation": 0.0, "seed": 1, **settings})
    stage = make_stage(folder)
    ports = chats(folder / "right", right), chats(folder / "answers", answers)
    curated = curator.run(stage, *ports)
    tasks = json.loads((stage.directory / "tasks.json").read_text())
    return curated, tasks


@pytest.mark.parametrize(
    ("accuracy", "kept"),
    list(
        zip(
            (0, 19, 20, 39, 55, 60, 70, 80, 89, 90, 95),
            (350, 350, 300, 300, 250, 200, 150, 100, 100, 50, 50),
            strict=True,
        )
    ),
)
def test_exact_tasks_give_as_many_mistakes_as_their_accuracy_says(tmp_path, accuracy, kept):
    right = [(str(n), "task", "yes") for n in range(1000)]
    given = [(str(n), "task", "yes" if n < 10 * accuracy else "no") for n in range(1000)]
    curated, tasks = select(tmp_path, right, given)
    assert curated.count("train") == kept
    assert {int(row["id"]) >= 10 * accuracy for row in curated.rows("train")} == {True}
    assert tasks["task"]["accuracy"] == pytest.approx(accuracy / 100)
    assert tasks["task"]["kept"] == kept


def test_what_was_missed_and_is_too_much_is_told_from_what_was_right(tmp_path):
    right = [(str(n), "task", "yes") for n in range(100)]
    given = [(str(n), "task", "yes" if n < 40 else "no") for n in range(100)]
    curated, _ = select(tmp_path, right, given, factor=0.1)
    reasons = [row["reason"] for row in curated.rows("rejected")]
    assert reasons.count("answered rightly") == 40
    assert reasons.count("enough of its task") == 60 - 25


def test_generation_tasks_give_most_of_what_shares_least_with_the_right_answer(tmp_path):
    words = [f"w{n}" for n in range(10)]
    right = [(f"{k}-{n}", "tell", " ".join(words)) for k in range(11) for n in range(50)]
    given = [
        (f"{k}-{n}", "tell", " ".join(words[:k] + ["x"] * (10 - k)))
        for k in range(11)
        for n in range(50)
    ]
    curated, tasks = select(tmp_path, right, given)
    kept = [0] * 11
    for row in curated.rows("train"):
        kept[int(row["id"].partition("-")[0])] += 1
    assert kept == [40, 40, 10, 10, 10, 10, 10, 10, 0, 0, 0]
    assert tasks["tell"]["rouge"] == pytest.approx(0.5)


def test_tasks_are_weighed_by_themselves(tmp_path):
    right = [(f"{t}{n}", t, "yes") for t in ("easy", "hard") for n in range(400)]
    given = [
        (name, t, "yes" if t == "easy" and n % 10 else "no") for n, (name, t, _) in enumerate(right)
    ]
    curated, _ = select(tmp_path, right, given)
    tasks = [row["source"] for row in curated.rows("train")]
    assert (tasks.count("easy"), tasks.count("hard")) == (40, 350)


def test_an_answer_that_never_came_is_a_mistake_and_a_question_not_asked_is_none(tmp_path):
    right = [(str(n), "task", "yes") for n in range(4)]
    answers = chats(tmp_path / "answers", [("0", "task", "yes"), ("1", "task", "no")])
    rejected = [
        {**row, "id": name, "reason": reason}
        for row, name, reason in zip(
            answers.rows("train"),
            ("2", "3"),
            ("the answer does not end within 4 tokens", "900 tokens leave no room"),
            strict=True,
        )
    ]
    answers.write("rejected", rejected, chat_schema(reason="string"))
    curator = Mistakes(validation=0.0, seed=1)
    stage = make_stage(tmp_path)
    curated = curator.run(stage, chats(tmp_path / "right", right), answers)
    assert sorted(row["id"] for row in curated.rows("train")) == ["1", "2"]
    reasons = {row["id"]: row["reason"] for row in curated.rows("rejected")}
    assert reasons == {"0": "answered rightly", "3": "the model was not asked"}


def test_the_budget_is_drawn_from_all_mistakes(tmp_path):
    right = [(str(n), "task", "yes") for n in range(300)]
    curated, _ = select(tmp_path, right, [(name, t, "no") for name, t, _ in right], train_rows=50)
    assert curated.count("train") == 50


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_a_share_lies_in_its_tenth(part, whole):
    share = min(part, whole) / whole
    assert tenth(share) == min(10 * min(part, whole) // whole, 9)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"accuracy_rows": [1]}, "accuracy_rows"),
        ({"rouge_shares": [2.0] * 10}, "rouge_shares"),
        ({"accuracy_rows": [-1] * 10}, "accuracy_rows"),
        ({"factor": 0.0}, "factor"),
    ],
)
def test_settings_that_cannot_work_are_named(settings, named):
    with pytest.raises(SettingError, match=named):
        Mistakes(seed=1, **settings)


def test_the_tasks_column_must_be_there():
    columns = ["id", "messages", "source"]
    known = DatasetSpec(splits={"train": [9, 9]}, columns=columns)
    with pytest.raises(SettingError, match="task_column"):
        Mistakes(seed=1, task_column="task").plan_spec(known, known)
    with pytest.raises(InputError, match="answers"):
        Mistakes(seed=1).plan_spec(known, DatasetSpec(columns=["text"]))
