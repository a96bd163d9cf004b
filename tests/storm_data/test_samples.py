"""Samples: every data set of a preset can be rehearsed, read as in a run."""

from __future__ import annotations

import json

import pytest

from presets import PRESETS, component, instance
from storm_data.samples import write_sample
from storm_data.sources.chat_jsonl import ChatJsonl
from storm_data.sources.dataset_excerpt import DatasetExcerpt
from storm_data.sources.dataset_path import DatasetPath
from storm_data.sources.hub_chat import HubChat
from storm_data.sources.hub_documents import HubDocuments
from storm_data.sources.text_documents import TextDocuments
from storm_exp import SettingError
from storm_exp.testing import make_stage

KINDS = ("hub_chat", "hub_documents", "hub_preferences")


def presets():
    """Return {preset: its component} for every preset that reads the hub."""
    return {name: instance(name) for name in PRESETS if component(name) in KINDS}


@pytest.mark.parametrize("name", presets())
def test_every_preset_of_the_hub_is_rehearsed_without_it(name, tmp_path):
    real = presets()[name]
    small = real.rehearsal()
    data = small.run(make_stage(tmp_path))
    rows = sum(small.limits.values())
    assert data.count("rejected") == 0, "our own rows are good, and all different"
    taken = data.count("train") + data.count("validation")
    assert taken >= rows
    sources = {s.split("/")[0] for s in data.table("train").column("source").to_pylist()}
    assert sources == set(real.sources)


def test_a_sample_in_a_repository_s_place_is_told_as_what_it_is():
    real = HubChat(sources={"ours": "meta-math/MetaMathQA"})
    assert real.stands_for == ""
    assert real.rehearsal().stands_for == "made-up rows in the schema of meta-math/MetaMathQA"


def test_samples_lie_where_the_repository_keeps_its_files(tmp_path):
    real = presets()["dataset/slimpajama"]
    write_sample(real.sources["slimpajama"], tmp_path, 4)
    assert len(real.data_files("slimpajama", tmp_path)) == 1
    other = HubDocuments(sources=real.sources, files={"slimpajama": "elsewhere/*.jsonl.zst"})
    assert other.data_files("slimpajama", tmp_path) == []


def test_a_sample_holds_texts_of_all_lengths(tmp_path):
    write_sample("arcee-ai/The-Tome", tmp_path, 8)
    import pyarrow.parquet as pq

    rows = pq.read_table(tmp_path / "data/train-00000-of-00001.parquet").to_pylist()
    lengths = [sum(len(turn["value"]) for turn in row["conversations"]) for row in rows]
    assert max(lengths) > 5_000
    assert min(lengths) < 400
    assert sum(length > 5_000 for length in lengths) == 1


def test_a_repository_without_a_sample_is_named():
    with pytest.raises(SettingError, match=r"sources.mine.*hf download some/set"):
        HubChat(sources={"mine": "some/set"}, seed=0).rehearsal()


def test_of_files_of_ones_own_the_first_rows_are_rehearsed(tmp_path):
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    lines = [
        json.dumps({"messages": [*turns[:1], {**turns[1], "content": str(i)}]}) for i in range(900)
    ]
    file = tmp_path / "chats.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    small = ChatJsonl(path=str(file), source="mine", validation_rows=100).rehearsal()
    data = small.run(make_stage(tmp_path))
    assert (data.count("train"), data.count("validation")) == (72, 8)
    assert small.plan_spec().splits["train"] == [1, 72]

    excerpt = DatasetPath(path=str(_finished(tmp_path, 300))).rehearsal()
    assert isinstance(excerpt, DatasetExcerpt)
    assert excerpt.run(make_stage(tmp_path, "excerpt")).count("train") == 80
    few = DatasetPath(path=str(_finished(tmp_path, 30)))
    assert few.rehearsal() is few

    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "many.jsonl").write_text("\n".join(json.dumps({"text": str(i)}) for i in range(300)))
    (texts / "one.txt").write_text("one text")
    read = TextDocuments(path=str(texts)).rehearsal().run(make_stage(tmp_path, "texts-read"))
    assert read.count("train") + read.count("validation") == 80


def _finished(tmp_path, rows):
    source = tmp_path / f"chats-{rows}.jsonl"
    turns = [{"role": "user", "content": "q"}]
    source.write_text(
        "\n".join(
            json.dumps({"messages": [*turns, {"role": "assistant", "content": str(i)}]})
            for i in range(rows)
        )
    )
    stage = make_stage(tmp_path, f"finished-{rows}")
    return ChatJsonl(path=str(source), source="mine", validation_share=0.0).run(stage).directory
