from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.decontamination.hits import (
    EMBEDDED,
    PARTLY,
    RESPELLED,
    REWRAPPED,
    VERBATIM,
    read_hits,
)
from storm_data.decontaminators.ngrams import MARK, Ngrams, Touched
from storm_data.questions.questions import Question, Questions, QuestionsSpec
from storm_data.rows.arrow_schema import chat_schema, document_schema, preference_schema
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage, run_component

ASKED = "Which planet has the most moons, and how many of them have names?"
OTHER = "A train leaves at noon with 40 people; 12 get off. How many are left on it?"
CLEAN = "Which city has the most bridges? I would like to see some of them."


def questions(folder: Path, *texts: str, task: str = "school") -> Questions:
    folder.mkdir()
    made = Questions(folder)
    made.write(Question(f"q{i}", task, text, "target") for i, text in enumerate(texts))
    return made


def chats(folder: Path, *asked: str, answer: str = "I do not know.") -> Dataset:
    folder.mkdir()
    data = Dataset(folder)
    rows = [
        {
            "id": f"row-{number}",
            "messages": [
                {"role": "user", "content": text},
                {"role": "assistant", "content": answer},
            ],
            "source": "test",
        }
        for number, text in enumerate(asked)
    ]
    data.write("train", rows, chat_schema())
    data.write("validation", rows[:1], chat_schema())
    return data


def clean(folder: Path, data: Dataset, asked: Questions, **settings: Any) -> Dataset:
    made = run_component(Ngrams(**settings), make_stage(folder), data, [asked])
    assert isinstance(made, Dataset)
    return made


def ids(data: Dataset, split: str) -> list[str]:
    return [row["id"] for row in data.rows(split)]


def summary(data: Dataset) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((data.directory / "decontamination.json").read_text())
    return content


def test_rows_that_hold_a_question_are_removed_with_the_reason(tmp_path):
    data = chats(tmp_path / "data", CLEAN, ASKED, f"Hello. {OTHER} Thank you.", "Good morning")
    made = clean(tmp_path, data, questions(tmp_path / "q", ASKED, OTHER))
    assert ids(made, "train") == ["row-0", "row-3"]
    assert ids(made, "rejected") == ["row-1", "row-2"]
    assert {row["reason"] for row in made.rows("rejected")} == {"holds a question of school"}
    assert ids(made, "validation") == ["row-0"]
    assert made.spec().columns == data.spec().columns


def test_rows_are_only_marked_if_so_set(tmp_path):
    data = chats(tmp_path / "data", CLEAN, ASKED)
    made = clean(tmp_path, data, questions(tmp_path / "q", ASKED), touched=Touched.mark)
    assert {row["id"]: row[MARK] for row in made.rows("train")} == {
        "row-0": None,
        "row-1": "school",
    }
    assert "rejected" not in made.splits()


def test_every_hit_says_what_and_where(tmp_path):
    told = f"Guess what. {ASKED} Well?"
    wrapped = "> Which planet has\n> the most moons, and how\n> many of them have names?"
    loud = ASKED.upper().replace(",", " -")
    masked = ASKED.replace("names", "____")
    data = chats(tmp_path / "data", ASKED, told, wrapped, loud, masked, CLEAN)
    made = clean(tmp_path, data, questions(tmp_path / "q", OTHER, ASKED), least=4)
    hits = list(read_hits(made.directory))
    assert [hit.form for hit in hits] == [VERBATIM, EMBEDDED, REWRAPPED, RESPELLED, PARTLY]
    assert [hit.row for hit in hits] == [f"row-{number}" for number in range(5)]
    assert {hit.question for hit in hits} == {"q1"} and {hit.task for hit in hits} == {"school"}
    assert [hit.share for hit in hits] == [1, 1, 1, 1, pytest.approx(8 / 9)]
    assert hits[1].span == ASKED.rstrip("?") == told[hits[1].start : hits[1].end]
    assert hits[2].span == wrapped[2:].rstrip("?")
    counted = summary(made)
    assert (counted["rows"], counted["touched"]) == (6, 5)
    assert counted["tasks"]["school"] == {
        "questions": 2,
        "searched": 2,
        "touched": 1,
        "rows": 5,
        "forms": {VERBATIM: 1, EMBEDDED: 1, REWRAPPED: 1, RESPELLED: 1, PARTLY: 1},
    }


def test_documents_preferences_answers_and_calls_are_searched(tmp_path):
    asked = questions(tmp_path / "q", ASKED)
    documents = Dataset(tmp_path / "documents")
    documents.directory.mkdir()
    rows = [{"id": str(n), "text": t, "source": "s"} for n, t in enumerate([CLEAN, f"So: {ASKED}"])]
    documents.write("train", rows, document_schema())
    assert ids(clean(tmp_path / "1", documents, asked), "train") == ["0"]
    pairs = Dataset(tmp_path / "pairs")
    pairs.directory.mkdir()
    turns = {
        name: [{"role": "user", "content": text}]
        for name, text in (("prompt", CLEAN), ("chosen", "yes"), ("rejected", ASKED))
    }
    rows = [{"id": "a", **turns, "source": "s"}, {"id": "b", **turns, "rejected": turns["chosen"]}]
    pairs.write("train", rows, preference_schema())
    assert ids(clean(tmp_path / "2", pairs, asked), "train") == ["b"]
    answered = chats(tmp_path / "chats", CLEAN, answer=ASKED)
    with pytest.raises(InputError, match="no row is left of 1: each holds a question"):
        clean(tmp_path / "3", answered, asked)


def test_a_clean_data_set_stays_as_it_is(tmp_path):
    data = chats(tmp_path / "data", CLEAN, "Good morning")
    made = clean(tmp_path, data, questions(tmp_path / "q", ASKED))
    assert made.table("train").equals(data.table("train"))
    assert made.count("rejected") == 0 and not list(read_hits(made.directory))


def test_questions_that_cannot_be_found_are_counted_and_named(tmp_path):
    asked = questions(tmp_path / "q", ASKED, "Who?", "")
    made = clean(tmp_path, chats(tmp_path / "data", ASKED, "Who?"), asked)
    assert ids(made, "train") == ["row-1"]
    assert summary(made)["not_searched"] == {
        "without a text": {"questions": 1, "ids": ["q2"]},
        "with fewer than n words": {"questions": 1, "ids": ["q1"]},
    }


def test_an_n_larger_than_every_question_is_refused(tmp_path):
    data, asked = chats(tmp_path / "data", ASKED), questions(tmp_path / "q", ASKED, "Who?")
    with pytest.raises(SettingError, match=r"none of the 2 questions can be found .* 13 words"):
        clean(tmp_path, data, asked, n=20)


def test_a_plan_refuses_what_cannot_be_searched():
    known = QuestionsSpec(tasks=["school"])
    with pytest.raises(InputError, match="no questions to search for"):
        Ngrams().plan_spec(DatasetSpec(), [])
    with pytest.raises(InputError, match="no text to search"):
        Ngrams().plan_spec(DatasetSpec(columns=["id", "number"]), [known])
    with pytest.raises(InputError, match="no rows in the split 'train'"):
        Ngrams().plan_spec(DatasetSpec(splits={"validation": [3, 3]}), [known])
    with pytest.raises(SettingError, match="has a column 'touches' already"):
        Ngrams(touched=Touched.mark).plan_spec(DatasetSpec(columns=["text", MARK]), [known])


def test_several_sets_of_questions_are_searched_together(tmp_path):
    data = chats(tmp_path / "data", ASKED, OTHER, CLEAN)
    sets = [questions(tmp_path / "1", ASKED), questions(tmp_path / "2", ASKED, OTHER)]
    made = run_component(Ngrams(), make_stage(tmp_path), data, sets)
    assert isinstance(made, Dataset)
    assert ids(made, "train") == ["row-2"]
    assert len(list(read_hits(made.directory))) == 2


def test_two_questions_of_one_id_are_refused(tmp_path):
    data = chats(tmp_path / "data", ASKED)
    sets = [questions(tmp_path / "1", ASKED), questions(tmp_path / "2", OTHER)]
    with pytest.raises(InputError, match="two questions have the id 'q0': 'Which planet"):
        run_component(Ngrams(), make_stage(tmp_path), data, sets)
