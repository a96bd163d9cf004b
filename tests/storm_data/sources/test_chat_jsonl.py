import json

import pytest

from storm_data.rows.chat import ChatFormat
from storm_data.sources.chat_jsonl import ChatJsonl
from storm_exp import FileDigests, InputError, SettingError
from storm_exp.testing import make_stage


def chat(number, **more):
    messages = [
        {"role": "user", "content": f"What is {number} + 1?"},
        {"role": "assistant", "content": f"{number + 1}"},
    ]
    return {"messages": messages, **more}


def write(file, rows):
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    file.write_bytes(b"\n".join(lines) + b"\n")
    return file


def make(tmp_path, rows, name="stage", **settings):
    file = write(tmp_path / "chats.jsonl", rows)
    component = ChatJsonl(path=str(file), **{"seed": 0, "validation_rows": 1, **settings})
    return component.run(make_stage(tmp_path, name))


def read(dataset):
    return {split: list(dataset.rows(split)) for split in dataset.splits()}


def funnel(dataset):
    return json.loads((dataset.directory / "funnel.json").read_text())


BAD = [
    (b"{", "not JSON"),
    (b"[1, 2]", "not JSON"),
    (b'{"messages": "' + b"\xff\xfe" + b'"}', "broken UTF-8"),
    (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "broken UTF-8"),
    ({"text": "no chat"}, "no messages"),
    ({"messages": []}, "no messages"),
    ({"messages": "hello"}, "no messages"),
    ({"messages": ["hello"]}, "malformed message"),
    ({"messages": [{"role": "user", "content": 3}]}, "malformed message"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "unknown role"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "unknown role"),
    ({"messages": [{"content": "x"}]}, "unknown role"),
    ({"messages": [{"role": "user", "content": " \n"}]}, "empty message"),
    ({"messages": [{"role": "assistant", "content": None}]}, "empty message"),
    ({"messages": [{"role": "user", "content": "x"}]}, "no assistant turn"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, "no user turn"),
    ({"instruction": "Answer", "output": ""}, "empty message"),
    ({"response": "x"}, "empty message"),
    ({"instruction": ["Answer"], "output": "x"}, "malformed message"),
    (chat(1), "duplicate"),
    (chat(99, id="first"), "id given twice"),
    (chat(10**600), "enormous"),
    (b"[" * 3000, "not JSON"),
    (b'{"messages": [], "messages": [1]}', "key given twice"),
    (b'{"instruction": "Why?", "output": NaN}', "no messages"),
]


@pytest.mark.parametrize(("row", "reason"), BAD, ids=lambda value: str(value)[:30])
def test_a_bad_row_is_rejected_with_its_line_and_reason(tmp_path, row, reason):
    rows = [chat(0, id="first"), chat(1), chat(2), row, chat(3)]
    splits = read(make(tmp_path, rows, max_characters=500))
    assert len(splits["train"]) + len(splits["validation"]) == 4
    (rejected,) = splits["rejected"]
    assert (rejected["line"], rejected["reason"]) == (4, reason)
    assert rejected["messages"] is None
    assert rejected["text"]


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path):
    rows = [chat(0), b'{"messages": "' + b"x" * 200_000, chat(1)]
    splits = read(make(tmp_path, rows, max_characters=100))
    (rejected,) = splits["rejected"]
    assert (rejected["line"], rejected["reason"]) == (2, "enormous")
    assert len(rejected["text"]) <= 2000
    assert len(splits["train"]) + len(splits["validation"]) == 2


def test_openai_and_sharegpt_rows_give_the_same_messages(tmp_path):
    sharegpt = {
        "conversations": [
            {"from": "system", "value": ""},
            {"from": "human", "value": "Hi"},
            {"from": "gpt", "value": "Hello"},
            {"from": "observation", "value": "{}"},
        ]
    }
    parts = [{"type": "text", "text": "Hi"}]
    openai = {
        "messages": [
            {"role": "user", "content": parts},
            {"role": "assistant", "content": "Hello"},
            {"role": "tool", "content": "{}"},
        ]
    }
    found = []
    for row in (sharegpt, openai):
        dataset = make(tmp_path, [row], name=f"stage{len(found)}", validation_rows=0)
        found.append(read(dataset)["train"][0])
    assert found[0] == found[1]
    assert [message["role"] for message in found[0]["messages"]] == ["user", "assistant", "tool"]


def test_the_preferred_answer_of_a_pair_is_kept(tmp_path):
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    rows = [
        {"prompt": "Hi", "chosen": "Hello", "rejected": "No"},
        {"prompt": "Hi!", "chosen": turns[1:], "rejected": []},
        {"prompt": "Hi?", "chosen": [turns[0] | {"content": "Hi?"}, turns[1]], "rejected": []},
        {"prompt": [turns[0] | {"content": "Hi."}], "chosen": turns[1:]},
    ]
    dataset = make(tmp_path, rows, validation_rows=0, validation_share=0.0)
    texts = [[m["content"] for m in row["messages"]] for row in dataset.rows("train")]
    assert texts == [["Hi", "Hello"], ["Hi!", "Hello"], ["Hi?", "Hello"], ["Hi.", "Hello"]]


def test_a_question_and_its_answer_are_a_chat(tmp_path):
    rows = [
        {"instruction": "Add", "input": "1 2", "output": "3"},
        {"instruction": "Hello", "input": "", "output": "Hi"},
        {"system_prompt": "Be brief.", "question": "Why?", "response": "So."},
        {"query": "1+1?", "response": "2", "original_question": "1+1"},
        {"definition": "Name the bird.", "inputs": "It hoots.", "targets": "An owl."},
    ]
    dataset = make(tmp_path, rows, validation_rows=0, validation_share=0.0)
    said = [[(m["role"], m["content"]) for m in row["messages"]] for row in dataset.rows("train")]
    assert said == [
        [("user", "Add\n\n1 2"), ("assistant", "3")],
        [("user", "Hello"), ("assistant", "Hi")],
        [("system", "Be brief."), ("user", "Why?"), ("assistant", "So.")],
        [("user", "1+1?"), ("assistant", "2")],
        [("user", "Name the bird.\n\nIt hoots."), ("assistant", "An owl.")],
    ]


def test_a_format_that_was_asked_for_is_the_only_one_read(tmp_path):
    with pytest.raises(InputError, match="no conversations"):
        make(tmp_path, [chat(0)], format=ChatFormat.sharegpt)


def test_every_row_is_in_one_split_and_in_order(tmp_path):
    rows = [chat(i, id=i, source="a" if i % 2 else "") for i in range(50)]
    dataset = make(tmp_path, rows, validation_rows=7)
    splits = read(dataset)
    assert len(splits["validation"]) == 7 and len(splits["train"]) == 43
    for name in ("train", "validation"):
        numbers = [int(row["id"]) for row in splits[name]]
        assert numbers == sorted(numbers)
    assert {row["source"] for row in splits["train"]} == {"a", "chat"}
    assert dataset.spec().splits == {"train": [43, 43], "validation": [7, 7], "rejected": [0, 0]}


def test_the_seed_chooses_the_validation_rows_and_nothing_else_does(tmp_path):
    rows = [chat(i) for i in range(40)]

    def held_out(name, rows, seed):
        dataset = make(tmp_path, rows, name=name, validation_rows=8, seed=seed)
        return {row["id"] for row in dataset.rows("validation")}

    first = held_out("a", rows, 0)
    assert held_out("b", rows[::-1], 0) == first
    assert held_out("c", rows, 1) != first
    assert len(held_out("d", [*rows, chat(1000)], 0) & first) >= 7


def test_the_same_file_gives_the_same_bytes(tmp_path):
    rows = [chat(i) for i in range(30)] + [b"{"]
    one, two = (make(tmp_path, rows, name=name) for name in ("one", "two"))
    for file in one.directory.iterdir():
        assert file.read_bytes() == (two.directory / file.name).read_bytes()


def test_the_funnel_counts_every_row_once(tmp_path):
    rows = [chat(i) for i in range(20)] + [b"{"] * 7 + [chat(3)] * 2
    content = funnel(make(tmp_path, rows, validation_share=0.1, validation_rows=0))
    assert content["read"] == 29
    assert content["splits"] == {"train": 18, "validation": 2, "rejected": 9}
    assert content["rejected"] == {"duplicate": 2, "not JSON": 7}
    assert sum(example["reason"] == "not JSON" for example in content["examples"]) == 5
    assert content["examples"][0]["line"] == 21


def test_too_many_bad_rows_are_an_error_with_counts_and_examples(tmp_path):
    rows = [chat(0), chat(1), b"{", {"text": "x"}, {"text": "y"}]
    message = r"3 of 5 rows are bad.*no messages: 2, not JSON: 1.*line 3: not JSON"
    with pytest.raises(InputError, match=message):
        make(tmp_path, rows)
    assert make(tmp_path, rows, name="more", max_bad_share=0.6).count("rejected") == 3


def test_what_rows_have_in_common_is_said_once_and_the_file_by_its_path_alone(tmp_path):
    with pytest.raises(InputError) as error:
        make(tmp_path, [{"text": "x"}, {"text": "y"}, {"text": "z"}])
    said = str(error.value)
    assert said.startswith(f"{tmp_path}")
    assert said.count("the row has text") == 1
    assert "First: lines 1, 2, 3: no messages" in said


def test_the_place_of_a_mistake_is_within_its_row(tmp_path):
    rows = [chat(n) for n in range(9)]
    content = funnel(make(tmp_path, [*rows, b'{"messages": [', *rows[:1]]))
    assert content["examples"][0]["detail"] == "Expecting value at character 15 of the row"


def test_duplicates_are_not_counted_as_bad(tmp_path):
    assert make(tmp_path, [chat(0), chat(1)] + [chat(0)] * 9).count("train") == 1


def test_no_good_row_is_an_error_whatever_share_is_allowed(tmp_path):
    with pytest.raises(InputError, match="none of the 2 rows can be used"):
        make(tmp_path, [{"text": "x"}, {"text": "y"}], max_bad_share=1.0)


def test_nothing_left_to_train_on_is_an_error(tmp_path):
    with pytest.raises(InputError, match="leaves nothing to train on"):
        make(tmp_path, [chat(0), chat(1), b"{"], validation_rows=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b"[\n1,\n2]", "not a JSON list of objects"),
        (b'[\n{"messages": [}\n]', "element 1 of the list is not JSON"),
        (b"id,text\n1,hello\n", "neither JSONL"),
        (b"PAR1\x15\x04\x15", "neither JSONL"),
    ],
    ids=["empty", "blank", "list of numbers", "broken list", "csv", "parquet"],
)
def test_what_is_not_jsonl_is_refused_at_plan_time(tmp_path, content, message):
    file = tmp_path / "x.jsonl"
    file.write_bytes(content)
    with pytest.raises(SettingError, match=message):
        ChatJsonl(path=str(file), seed=0).plan_spec()


def test_a_missing_file_is_refused_at_plan_time(tmp_path):
    component = ChatJsonl(path=str(tmp_path / "nowhere.jsonl"), seed=0)
    with pytest.raises(SettingError, match="there is no such file"):
        component.plan_spec()
    with pytest.raises(SettingError, match="there is no such file"):
        component.fingerprint(FileDigests(tmp_path / "digests.json"))
    with pytest.raises(SettingError, match="but is a directory"):
        ChatJsonl(path=str(tmp_path), seed=0).plan_spec()


def test_the_forecast_holds(tmp_path):
    rows = [chat(i) for i in range(30)] + [b"{"] * 5
    file = write(tmp_path / "chats.jsonl", rows)
    for settings in ({"validation_rows": 4}, {"validation_share": 0.2}, {"validation_share": 0.0}):
        component = ChatJsonl(path=str(file), seed=0, **settings)
        spec = component.plan_spec().splits
        facts = component.run(make_stage(tmp_path, str(settings))).spec()
        for name, (low, high) in spec.items():
            assert low <= facts.splits[name][0] <= high
        assert facts.columns == component.plan_spec().columns


def test_a_byte_order_mark_is_not_part_of_the_first_row(tmp_path):
    file = write(
        tmp_path / "chats.jsonl", [b"\xef\xbb\xbf" + json.dumps(chat(0)).encode(), chat(1)]
    )
    dataset = ChatJsonl(path=str(file), seed=0).run(make_stage(tmp_path))
    assert dataset.count("rejected") == 0


@pytest.mark.parametrize(
    "setting",
    [
        {"validation_share": 1.0},
        {"validation_share": -0.1},
        {"validation_rows": -1},
        {"max_bad_share": 1.5},
        {"max_characters": 0},
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(setting):
    with pytest.raises(SettingError, match=next(iter(setting))):
        ChatJsonl(path="x", seed=0, **setting)
