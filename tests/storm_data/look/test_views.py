"""Rows of data sets and files, as `storm-exp look` shows them."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storm_data.look.dataset_view import DatasetView
from storm_data.look.file_view import FileView
from storm_data.sources.chat_jsonl import ChatJsonl
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.testing import make_checkpoint
from storm_report.look.view import Choice, Subject


def chat(question: str, answer: str, **more) -> dict:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, **more}


ROWS = [
    chat("one", "1", id="a"),
    {"messages": []},
    chat("two", "2", id="b", context="unused"),
    chat("one", "1", id="c"),
    {"instruction": "three", "output": "3"},
    chat("four", "4", id="a"),
]
REASONS = ["no messages", "duplicate", "id given twice"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "chats.jsonl"
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    path.write_text(text + '{"broken\n', encoding="utf-8")
    return path


def look(view, place, **choice):
    assert view.opens(place)
    listing = view.show([Subject(name=place.name, place=place)], Choice(**choice))
    return listing, list(listing.examples)


def shown(example) -> list[tuple[str, str, bool]]:
    return [(part.title, part.text(), part.pieces[0].supervised) for part in example.parts]


def test_a_file_is_read_as_the_component_reads_it(file, tmp_path):
    """The same rows are accepted and rejected, for the same reasons."""
    stage = make_stage(tmp_path / "made")
    data = ChatJsonl(path=str(file), validation_share=0.0, max_bad_share=1).run(stage)
    _, good = look(FileView(), file)
    _, bad = look(FileView(), file, dropped=True)
    assert [e.parts[0].text() for e in good] == [
        row["messages"][0]["content"] for row in data.rows("train")
    ]
    reasons = [f"{row['reason']}: {row['detail']}" for row in data.rows("rejected")]
    assert [e.reason for e in bad] == reasons
    assert [reason.partition(":")[0] for reason in reasons] == [*REASONS, "not JSON"]


def test_a_chat_shows_who_speaks_and_what_is_learnt(file):
    listing, (first, *_) = look(FileView(), file)
    assert first.title == "row 1 · a"
    assert shown(first) == [("user", "one", False), ("assistant", "1", True)]
    assert "chats (chat_jsonl)" in listing.facts[0]


def test_an_answer_that_is_context_is_told_apart(tmp_path):
    path = tmp_path / "a.jsonl"
    row = chat("one", "1")
    row["messages"] = [{"role": "assistant", "content": "hello"}, *row["messages"]]
    path.write_text(json.dumps(row), encoding="utf-8")
    _, (example,) = look(FileView(), path)
    assert [(part.facts, part.pieces[0].supervised) for part in example.parts] == [
        ("context only", False),
        ("", False),
        ("", True),
    ]


def test_rows_are_counted_from_one_whatever_is_skipped(file):
    _, examples = look(FileView(), file, first=1)
    assert examples[0].title == "row 3 · b"


@pytest.mark.parametrize(
    ("row", "kind", "parts"),
    [
        ({"text": "once"}, "documents", [("text", "once", True)]),
        (
            {"prompt": "q", "chosen": "yes", "rejected": "no"},
            "preferences",
            [
                ("prompt · user", "q", False),
                ("chosen · assistant", "yes", True),
                ("rejected · assistant", "no", True),
            ],
        ),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
         "chats", [("user", "q", False), ("assistant", "a", True)]),
    ],
)  # fmt: skip
def test_the_kind_of_a_file_is_told_by_its_columns(tmp_path, row, kind, parts):
    for name in ("rows.jsonl", "rows.json", "rows.parquet"):
        path = tmp_path / name
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist([row]), path)
        else:
            path.write_text(json.dumps([row] if name == "rows.json" else row), encoding="utf-8")
        listing, (example,) = look(FileView(), path)
        assert kind in listing.facts[0]
        assert shown(example) == parts


@pytest.mark.parametrize("content", ["", "no rows\n", "[1, 2]"])
def test_a_file_without_rows_is_refused(tmp_path, content):
    path = tmp_path / "a.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingError, match=r"empty|neither|not a JSON list"):
        look(FileView(), path)


def test_what_is_called_parquet_and_is_not_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_text("PAR", encoding="utf-8")
    with pytest.raises(InputError, match="not Parquet"):
        look(FileView(), path)


def test_a_data_set_shows_its_splits_and_its_rejected_rows(file, tmp_path):
    folder = (
        ChatJsonl(path=str(file), validation_rows=1, max_bad_share=1)
        .run(make_stage(tmp_path / "d"))
        .directory
    )
    listing, train = look(DatasetView(), folder)
    assert listing.facts == ["rows: rejected 4, train 2, validation 1"]
    assert listing.left_out == {
        "duplicate": 1,
        "id given twice": 1,
        "no messages": 1,
        "not JSON": 1,
    }
    assert len(train) == 2
    _, held_out = look(DatasetView(), folder, split="validation")
    assert len(held_out) == 1
    _, dropped = look(DatasetView(), folder, dropped=True)
    assert [e.reason.partition(":")[0] for e in dropped] == [*REASONS, "not JSON"]
    assert dropped[1].title.endswith("line 4")
    assert '"content": "one"' in dropped[1].parts[0].text()
    with pytest.raises(InputError, match="no split 'test'"):
        look(DatasetView(), folder, split="test")


def test_a_row_is_shown_as_the_tokens_of_a_model(file, tmp_path):
    model = make_checkpoint(tmp_path / "model")
    subject = Subject(name="model", place=model.directory)
    _, (first, *_) = look(FileView(), file, model=subject)
    (part,) = first.parts
    assert part.text() == model.tokenizer().decode([piece.id for piece in part.pieces])
    learnt = "".join(piece.text for piece in part.pieces if piece.supervised)
    assert learnt.startswith("1") and "one" not in learnt
