"""Rows that are exported as JSONL are read back as the same rows."""

from __future__ import annotations

import json

import pytest

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.exports.jsonl_files import Jsonl, jsonl_row
from storm_data.rows.arrow_schema import chat_schema, document_schema
from storm_data.sources.chat_jsonl import ChatJsonl
from storm_data.sources.preference_jsonl import PreferenceJsonl
from storm_exp import SettingError
from storm_exp.testing import make_stage, run_component

TOOLS = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"é": [1]}'}}
CHATS = [
    {
        "id": "a",
        "source": "mine",
        "messages": [
            {"role": "system", "content": "Be brief.\u2028Be kind."},
            {"role": "user", "content": "Find it"},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": "3", "tool_call_id": "c1", "name": "find"},
            {"role": "assistant", "content": "A draft", "weight": 0},
            {"role": "user", "content": "Well?"},
            {"role": "assistant", "content": "Three \U0001f600"},
        ],
        "tools": TOOLS,
    },
    *(
        {
            "id": str(number),
            "source": "mine",
            "messages": [
                {"role": "user", "content": f"Say {number}"},
                {"role": "assistant", "content": str(number)},
            ],
        }
        for number in range(9)
    ),
]
PAIRS = [
    {"prompt": f"Say {number}", "chosen": str(number), "rejected": f"not {number}"}
    for number in range(9)
]


def read(folder, component, rows):
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return run_component(component(path=str(file)), make_stage(folder / "read"))


def export(folder, data, **settings):
    return run_component(Jsonl(**settings), make_stage(folder / "written"), data=data)


def lines(files, split):
    text = (files.directory / f"{split}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def content(data):
    return {
        row["id"]: {name: value for name, value in row.items() if name != "index"}
        for split in ("train", "validation")
        for row in data.rows(split)
    }


@pytest.mark.parametrize(("component", "rows"), [(ChatJsonl, CHATS), (PreferenceJsonl, PAIRS)])
def test_what_is_written_is_read_back_as_the_same_rows(tmp_path, component, rows):
    data = read(tmp_path, component, rows)
    files = export(tmp_path, data)
    written = [*lines(files, "train"), *lines(files, "validation")]
    (tmp_path / "again").mkdir()
    again = read(tmp_path / "again", component, written)
    assert content(again) == content(data)
    assert len(content(data)) == len(rows)


def test_a_chat_is_written_as_openai_writes_it(tmp_path):
    files = export(tmp_path, read(tmp_path, ChatJsonl, CHATS))
    (row,) = [
        row for split in ("train", "validation") for row in lines(files, split) if row["id"] == "a"
    ]
    assert row["messages"] == CHATS[0]["messages"]
    assert row["tools"] == TOOLS


def test_rejected_rows_are_written_with_their_reason(tmp_path):
    data = read(tmp_path, ChatJsonl, [*CHATS, {"id": "bad", "messages": []}])
    (row,) = lines(export(tmp_path, data, splits=["rejected"]), "rejected")
    assert row["id"] == "bad"
    assert "reason" in row
    assert "messages" not in row


def test_a_text_that_utf_8_cannot_hold_is_written_as_an_escape(tmp_path):
    data = Dataset(tmp_path)
    call = json.dumps([{"name": "find", "arguments": {"what": "\ud800"}}])
    messages = [{"role": "assistant", "content": "", "tool_calls": call}]
    data.write("train", [{"id": "a", "messages": messages, "source": "s"}], chat_schema())
    (row,) = lines(export(tmp_path / "to", data), "train")
    (written,) = row["messages"][0]["tool_calls"]
    assert json.loads(written["function"]["arguments"]) == {"what": "\ud800"}


def test_documents_are_written_as_they_are(tmp_path):
    data = Dataset(tmp_path)
    data.write("train", [{"id": "a", "text": "One.\nTwo.", "source": "s"}], document_schema())
    assert lines(export(tmp_path / "to", data), "train") == [
        {"id": "a", "text": "One.\nTwo.", "source": "s"}
    ]


def test_a_column_without_a_value_is_left_out():
    assert jsonl_row({"id": "a", "text": "b", "tools": None}) == {"id": "a", "text": "b"}


def test_splits_without_rows_are_refused_when_it_is_planned():
    data = DatasetSpec(splits={"train": [0, 9], "validation": [0, 0]})
    assert Jsonl().plan_spec(data).splits == {"train": [0, 9]}
    for splits in (["validation"], ["rejected"], []):
        with pytest.raises(SettingError, match=r"splits.*train 9, validation 0"):
            Jsonl(splits=splits).plan_spec(data)
