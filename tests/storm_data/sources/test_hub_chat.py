import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storm_data.sources import hub_chat
from storm_data.sources.hub_chat import HubChat
from storm_exp import FileDigests, InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.chat.conversation import Conversation
from storm_models.sources import repository


@pytest.fixture
def offline(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(repository, "_reachable", lambda: False)


@pytest.fixture
def folders(tmp_path, offline):
    """A folder of ShareGPT Parquet with a test split, and one of preference pairs in JSONL."""
    parquet, pairs = tmp_path / "parquet", tmp_path / "pairs"
    (parquet / "data").mkdir(parents=True)
    pairs.mkdir()
    for split, numbers in (("train", range(6)), ("test", range(100, 103))):
        turns = [
            [{"from": "human", "value": f"Say {n}"}, {"from": "gpt", "value": f"{n}"}]
            for n in numbers
        ]
        table = pa.table({"conversations": turns, "id": list(numbers)})
        pq.write_table(table, parquet / "data" / f"{split}-00000-of-00001.parquet")
    rows = [{"prompt": f"Say {n}", "chosen": f"{n}", "rejected": "no"} for n in range(5, 9)]
    (pairs / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"sharegpt": str(parquet), "pairs": str(pairs)}


def test_sources_become_one_data_set_without_test_splits_and_duplicates(folders, tmp_path):
    dataset = HubChat(sources=folders, validation_rows=1, seed=0).run(make_stage(tmp_path))
    rows = [*dataset.rows("train"), *dataset.rows("validation")]
    said = sorted(row["messages"][1]["content"] for row in rows)
    assert said == [str(n) for n in range(9)]
    assert {row["source"] for row in rows} == {"sharegpt", "pairs"}
    (rejected,) = dataset.rows("rejected")
    assert (rejected["source"], rejected["line"], rejected["reason"]) == ("pairs", 1, "duplicate")


def test_a_source_has_columns_and_rows_to_leave_out_of_its_own(tmp_path, offline):
    places = {}
    for name, question in (("ours", "ask"), ("theirs", "question")):
        folder = places[name] = tmp_path / name
        folder.mkdir()
        rows = [
            {question: f"{name} {n}", "answer": "a", "task": f"t{n}" if name == "ours" else "u"}
            for n in range(4)
        ]
        (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = HubChat(
        sources={name: str(place) for name, place in places.items()},
        fields={"ours.question": "ask"},
        exclude={"task": "t[12]"},
        validation_share=0.0,
        max_bad_share=0.0,
        seed=0,
    ).run(make_stage(tmp_path))
    asked = [row["messages"][0]["content"] for row in dataset.rows("train")]
    assert asked == ["ours 0", "ours 3", *(f"theirs {n}" for n in range(4))]
    assert [row["reason"] for row in dataset.rows("rejected")] == ["excluded by task"] * 2


def test_a_row_may_be_of_a_task_of_its_source(tmp_path, offline):
    folder = tmp_path / "rows"
    folder.mkdir()
    rows = [{"question": f"q{n}", "answer": "a", "task": f"t{n % 2}"} for n in range(4)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"sources": {"ours": str(folder)}, "validation_share": 0.0, "seed": 0}
    dataset = HubChat(**settings, task_columns={"ours": "task"}).run(make_stage(tmp_path, "a"))
    assert [row["source"] for row in dataset.rows("train")] == ["ours/t0", "ours/t1"] * 2
    with pytest.raises(SettingError, match=r"task_columns\.ours='kind'"):
        HubChat(**settings, task_columns={"ours": "kind"}).run(make_stage(tmp_path, "b"))


def test_a_tool_has_its_own_parameters_alone(tmp_path, offline):
    """Arrow gives every object of a column the fields of all objects."""
    tools = [
        {"name": name, "parameters": {"properties": {name: {"type": "y"}, "x": {"type": name}}}}
        for name in "ab"
    ]
    rows = [
        {
            "tools": [tool],
            "messages": [
                {"role": "user", "content": "q"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"name": tool["name"], "arguments": {tool["name"]: 1}}],
                },
            ],
        }
        for tool in tools
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = HubChat(sources={"x": str(tmp_path)}, validation_share=0.0, seed=0)
    dataset = source.run(make_stage(tmp_path))
    for row, tool in zip(dataset.rows("train"), tools, strict=True):
        found = Conversation.of(row)
        (call,) = found.messages[1]["tool_calls"]
        assert call["function"]["arguments"] == {tool["name"]: 1}
        (shown,) = found.tools
        assert shown["function"]["parameters"]["properties"]["x"] == {"type": tool["name"]}
        assert set(shown["function"]["parameters"]["properties"]) == {tool["name"], "x"}


def test_a_limit_takes_the_first_rows(folders, tmp_path):
    component = HubChat(sources=folders, limits={"sharegpt": 2, "pairs": 1}, seed=0)
    dataset = component.run(make_stage(tmp_path))
    assert dataset.count("train") + dataset.count("validation") == 3
    assert component.plan_spec().splits["train"][1] == 3


def test_the_fingerprint_of_folders_is_their_contents(folders, tmp_path):
    digests = FileDigests(tmp_path / "digests.json")
    component = HubChat(sources=folders, seed=0)
    before = component.fingerprint(digests)
    with Path(folders["pairs"], "train.jsonl").open("a") as stream:
        stream.write("{}\n")
    after = component.fingerprint(digests)
    assert before["sharegpt"] == after["sharegpt"] and before["pairs"] != after["pairs"]


def test_a_plan_without_a_network_says_what_to_fetch(offline):
    component = HubChat(sources={"tome": "arcee-ai/The-Tome"}, expected_rows={"tome": 1000}, seed=0)
    assert component.fetches() == ["dataset arcee-ai/The-Tome at main, about 1000 rows"]
    assert component.plan_spec().splits["train"] == [1, 1000]
    assert HubChat(sources={"tome": "arcee-ai/The-Tome"}, seed=0).plan_spec().splits is None


def test_running_without_a_network_says_how_to_fetch(offline, tmp_path):
    with pytest.raises(InputError, match=r"hf download a/b --revision v1 --repo-type dataset"):
        HubChat(sources={"x": "a/b"}, revisions={"x": "v1"}, seed=0).run(make_stage(tmp_path))


def test_a_folder_that_cannot_be_read_is_named(tmp_path, offline):
    (tmp_path / "train.jsonl").write_text("no json\n")
    with pytest.raises(InputError, match=f"{tmp_path} \\(x\\) cannot be read"):
        HubChat(sources={"x": str(tmp_path)}, seed=0).run(make_stage(tmp_path))


def test_bad_settings_are_refused(tmp_path):
    with pytest.raises(SettingError, match="at least one source"):
        HubChat(seed=0)
    with pytest.raises(SettingError, match="did you mean 'tome'"):
        HubChat(sources={"tome": "a/b"}, limits={"tom": 3}, seed=0)
    with pytest.raises(SettingError, match="holds no Parquet or JSONL"):
        HubChat(sources={"x": str(tmp_path)}, seed=0).plan_spec()
    with pytest.raises(SettingError, match="there is no such file"):
        HubChat(sources={"x": str(tmp_path / "nowhere")}, seed=0).plan_spec()
    assert hub_chat.HubChat(sources={"x": "a/b"}, seed=0).plan_spec().columns


def test_tokens_that_are_expected_are_those_of_the_rows_that_are_read(offline):
    known = {"one": 100, "two": 1000}
    sources = {"one": "a/one", "two": "a/two"}
    tokens = {"one": 1000, "two": 50_000}
    source = HubChat(sources=sources, expected_rows=known, expected_tokens=tokens, seed=0)
    assert source.plan_spec().row_tokens == 51_000 / 1100
    source.limits = {"two": 100}
    assert source.plan_spec().row_tokens == (1000 + 5000) / 200
    source.expected_tokens = {"one": 1000}
    assert source.plan_spec().row_tokens is None
    with pytest.raises(SettingError, match="expected_tokens='three'"):
        HubChat(sources=sources, expected_tokens={"three": 1}, seed=0)
