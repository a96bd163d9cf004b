"""Malformed rows: each is accepted or rejected with a reason, none is fatal."""

import copy
import json
import random

import pytest

from storm_data.sources.chat_jsonl import ChatJsonl
from storm_data.sources.preference_jsonl import PreferenceJsonl
from storm_data.sources.text_documents import TextDocuments
from storm_exp.testing import make_stage
from storm_models.chat.conversation import Conversation

ROWS = 1840
"""Rows of chats; of preferences and documents there are half as many each."""

CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
USER, ASSISTANT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
CHATS = [
    {"messages": [USER, ASSISTANT], "id": "x", "source": "y"},
    {"messages": [USER, {**ASSISTANT, "tool_calls": [CALL]}], "tools": [TOOL]},
    {"messages": [{"role": "system", "content": "s"}, USER, {**ASSISTANT, "weight": 0}, ASSISTANT]},
    {"messages": [USER, {"role": "assistant", "function_call": CALL["function"]}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}, ASSISTANT]},
    {
        "conversations": [
            {"from": "human", "value": "q"},
            {"from": "gpt", "value": "a"},
            {"from": "function_call", "value": '{"name": "f", "arguments": {}}'},
            {"from": "observation", "value": "r"},
        ],
        "tools": json.dumps([TOOL]),
        "system": "s",
    },
    {"instruction": "q", "input": "i", "output": "a", "history": [["q", "a"]]},
    {"prompt": [USER], "completion": [ASSISTANT], "label": True},
    {"prompt": "q", "chosen": [USER, ASSISTANT], "rejected": "b"},
]
PAIRS = [
    {"prompt": "q", "chosen": "a", "rejected": "b", "score_chosen": 2, "score_rejected": 1.5},
    {"chosen": [USER, ASSISTANT], "rejected": [USER, {**ASSISTANT, "content": "b"}], "system": "s"},
    {"prompt": [USER], "chosen": [{**ASSISTANT, "tool_calls": [CALL]}], "rejected": [ASSISTANT]},
]
DOCUMENTS = [{"text": "t", "meta": {"a": 1}, "id": 3}, {"content": "t", "title": "u"}]

LINES = [
    b"",
    b"\x00",
    b"\xff\xfe{}",
    b'{"messages": [',
    b'{"text": "x", "text": "y"}',
    b"[]",
    b"null",
    b'"\\ud800"',
    b"1e999",
    b"[" * 5000 + b"]" * 5000,
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b'{"messages": ' + b"[" * 700 + b"]" * 700 + b"}",
    b'{"text": "' + b"x" * 40_000 + b'"}',
    b'{"messages": [{"role": "user", "content": "\r"}]}\r',
    "\ufeff{}".encode(),
    b"9" * 5000,
]


def deep(levels, leaf):
    for _ in range(levels):
        leaf = {"a": [leaf]}
    return leaf


def hostile(draw):
    return draw.choice(
        [
            None,
            True,
            0,
            -1,
            10**400,
            1e308,
            float("nan"),
            float("inf"),
            "",
            " \n\t",
            "\ud800",
            "x\x00y",
            "\u202e\u0085\u2028",
            "z" * draw.choice([10, 30_000]),
            '[{"role": "user"}]',
            "{",
            "<|im_end|>",
            [],
            [[]],
            [None],
            {},
            {"": ""},
            {"text": None},
            {"role": {"role": "user"}},
            [[[USER]]],
            [USER] * 3,
            deep(draw.choice([3, 150]), "x"),
            [{"type": "image_url", "image_url": "u"}],
            {"name": "f", "arguments": "{"},
        ]
    )


def places(value):
    """Yield (container, key) of every nested value."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def spoil(draw, row):
    row = copy.deepcopy(row)
    spoilt = copy.deepcopy  # what is put in must not be changed later
    for _ in range(draw.choice([1, 1, 2, 4])):
        found = list(places(row))
        if not found:
            break
        container, key = draw.choice(found)
        what = draw.randrange(4)
        if what == 0:
            del container[key]
        elif what == 1 and isinstance(container, dict):
            container[hostile_name(draw)] = container.pop(key)
        elif what == 2 and isinstance(container, dict):
            container[hostile_name(draw)] = spoilt(hostile(draw))
        else:
            container[key] = spoilt(hostile(draw))
    return row


def hostile_name(draw):
    names = ["", "messages", "chosen", "text", "content", "role", "tools", "weight", "name", "id"]
    return draw.choice([*names, "\ud800", "x" * 500, "tool_calls", "images", "system", "ü\n<b>"])


def write(file, draw, forms, rows):
    lines = []
    for number in range(rows):
        if draw.random() < 0.1:
            lines.append(draw.choice(LINES) or b" ")
            continue
        row = draw.choice(forms)
        row = spoil(draw, row) if draw.random() < 0.9 else {**row, "note": "n"}
        text = json.dumps(row, ensure_ascii=draw.random() < 0.5)
        for word in "qt":
            text = text.replace(f': "{word}"', f': "{word}{number}"')
        lines.append(text.encode(errors="surrogatepass"))
    file.write_bytes(b"\n".join(lines) + b"\n")
    return sum(bool(line.strip()) for line in lines)


@pytest.mark.parametrize(
    ("component", "forms", "rows", "columns"),
    [
        (ChatJsonl, CHATS, ROWS, ["messages"]),
        (PreferenceJsonl, PAIRS, ROWS // 2, ["prompt", "chosen", "rejected"]),
        (TextDocuments, DOCUMENTS, ROWS // 2, []),
    ],
    ids=["chats", "preferences", "documents"],
)
def test_every_row_is_taken_or_rejected_with_a_reason(tmp_path, component, forms, rows, columns):
    file = tmp_path / "rows.jsonl"
    written = write(file, random.Random(f"hostile rows {component.__name__}"), forms, rows)
    settings = {"max_bad_share": 1.0, "max_characters": 20_000, "seed": 0}
    data = component(path=str(file), **settings).run(make_stage(tmp_path))
    funnel = json.loads((data.directory / "funnel.json").read_text(encoding="utf-8"))
    assert funnel["read"] == written
    assert funnel["read"] == sum(funnel["splits"].values())
    assert funnel["splits"] == {split: data.count(split) for split in data.splits()}
    assert sum(funnel["rejected"].values()) == funnel["splits"]["rejected"]
    for row in data.rows("rejected"):
        assert row["reason"] in funnel["rejected"]
    taken = [*data.rows("train"), *data.rows("validation")]
    assert rows / 10 < len(taken) < rows / 2
    for row in taken:
        for column in columns:
            assert any(
                turn["content"] or "tool_calls" in turn
                for turn in Conversation.of(row, column).messages
            )
