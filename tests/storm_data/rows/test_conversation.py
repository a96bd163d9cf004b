import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storm_data.dataset import Dataset
from storm_data.files.parquet_splits import check_rows, check_schemas
from storm_data.rows.arrow_schema import chat_schema, preference_schema
from storm_exp import InputError
from storm_models.chat.conversation import Conversation, calls_text

TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "name": "find", "arguments": {"b": [1, None], "a": "ü"}}
ROW = {
    "id": "r",
    "source": "mine",
    "tools": json.dumps([TOOL]),
    "messages": [
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": "", "tool_calls": calls_text([CALL]), "weight": 0.0},
        {"role": "tool", "content": "here", "name": "find", "tool_call_id": "c1"},
        {"role": "assistant", "content": "Here."},
    ],
}
SHOWN = [
    {"role": "user", "content": "Where?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "type": "function",
                "function": {"name": "find", "arguments": {"b": [1, None], "a": "ü"}},
                "id": "c1",
            }
        ],
    },
    {"role": "tool", "content": "here", "name": "find", "tool_call_id": "c1"},
    {"role": "assistant", "content": "Here."},
]


def test_a_written_row_reads_in_the_form_of_chat_templates(tmp_path):
    data = Dataset(tmp_path)
    data.write("train", [ROW], chat_schema())
    check_schemas(data)
    check_rows(data)
    (row,) = data.rows("train")
    conversation = Conversation.of(row)
    assert conversation == Conversation(SHOWN, [TOOL], [True, False, True, True])
    assert list(conversation.messages[1]["tool_calls"][0]["function"]["arguments"]) == ["b", "a"]


def test_an_older_file_of_roles_and_contents_reads_as_if_the_rest_were_null(tmp_path):
    message = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    old = {"id": ["a"], "messages": pa.array([turns], message), "source": ["mine"]}
    pq.write_table(pa.table(old), tmp_path / "train.parquet")
    data = Dataset(tmp_path)
    check_schemas(data)
    check_rows(data)
    (row,) = data.rows("train")
    assert Conversation.of(row) == Conversation(turns, None, [True, True])


def test_a_prompt_and_an_answer_are_one_conversation(tmp_path):
    data = Dataset(tmp_path)
    turns = ROW["messages"]
    sides = {"prompt": turns[:1], "chosen": turns[1:], "rejected": turns[3:]}
    data.write("train", [{**ROW, **sides}], preference_schema())
    (row,) = data.rows("train")
    prompt = Conversation.of(row, "prompt")
    whole = prompt + Conversation.of(row, "chosen")
    assert whole == Conversation(SHOWN, [TOOL], [True, False, True, True])
    assert whole.first(-1).messages == SHOWN[:3]
    assert (prompt + Conversation.of(row, "rejected")).messages == [SHOWN[0], SHOWN[3]]


@pytest.mark.parametrize(
    ("column", "broken"),
    [
        ("tools", "[{"),
        ("messages", [{"role": "user", "content": "x", "tool_calls": '[{"id": 1}]'}]),
    ],
)
def test_broken_json_is_named_with_its_row(column, broken, tmp_path):
    data = Dataset(tmp_path)
    data.write("train", [{**ROW, column: broken}], chat_schema())
    with pytest.raises(InputError, match=r"row 'r': 'messages' is not a conversation"):
        check_rows(data)
