import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storm_data.sources import hub_documents
from storm_data.sources.hub_documents import HubDocuments
from storm_exp import FileDigests, InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.sources import repository


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """SlimPajama's layout, packed lines in folders, and StarCoder's, Parquet by language."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(repository, "_reachable", lambda: False)
    text, code = tmp_path / "text", tmp_path / "code"
    for split, numbers in (("train", range(6)), ("test", range(50, 53))):
        (text / split / "chunk1").mkdir(parents=True)
        rows = [{"text": f"document {n}", "meta": {"set": "web"}} for n in numbers]
        with gzip.open(text / split / "chunk1" / "example.jsonl.gz", "wt") as stream:
            stream.write("".join(json.dumps(row) + "\n" for row in rows))
    for language in ("python", "rust"):
        (code / language).mkdir(parents=True)
        table = pa.table({"content": [f"{language} {n}" for n in range(3)], "id": ["a", "b", "c"]})
        pq.write_table(table, code / language / "train-00000-of-00001.parquet")
    return {"text": str(text), "code": str(code)}


def component(folders, **settings):
    files = {"text": "train/chunk*/*.jsonl.gz", "code": "python/*.parquet"}
    return HubDocuments(sources=folders, **{"files": files, "seed": 0, **settings})


def test_sources_become_one_data_set_of_the_files_that_were_named(folders, tmp_path):
    dataset = component(folders, validation_rows=2).run(make_stage(tmp_path))
    rows = [*dataset.rows("train"), *dataset.rows("validation")]
    read = {(row["source"], row["text"]) for row in rows}
    expected = {("text", f"document {n}") for n in range(6)}
    assert read == expected | {("code", f"python {n}") for n in range(3)}
    assert dataset.count("validation") == 2 and dataset.count("rejected") == 0


def test_streaming_reads_the_same_rows(folders, tmp_path):
    limits = {"text": 4, "code": 2}
    whole = component(folders, limits=limits).run(make_stage(tmp_path, "whole"))
    streamed = component(folders, limits=limits, stream=True).run(make_stage(tmp_path, "streamed"))
    for split in ("train", "validation", "rejected"):
        assert list(whole.rows(split)) == list(streamed.rows(split))
    assert whole.count("train") + whole.count("validation") == 6


def test_the_key_holds_the_named_files_alone(folders, tmp_path):
    found = component(folders).fingerprint(FileDigests(tmp_path / "digests.json"))
    assert list(found["code"]) == ["python/train-00000-of-00001.parquet"]
    assert list(found["text"]) == ["train/chunk1/example.jsonl.gz"]


def test_only_the_named_files_are_fetched(folders, tmp_path, monkeypatch):
    asked = {}

    def fetch(place, revision, patterns, kind):
        asked[place] = patterns
        return folders["code"]

    monkeypatch.setattr("storm_data.sources.hub_source.fetch", fetch)
    made = HubDocuments(sources={"code": "a/b"}, files={"code": "rust/*.parquet"}, seed=0)
    dataset = made.run(make_stage(tmp_path))
    assert asked == {"a/b": ["rust/*.parquet", "README.md"]}
    assert {row["text"][:4] for row in dataset.rows("train")} == {"rust"}


def test_a_stream_is_announced_as_such_and_read_at_its_commit(
    tmp_path,
):
    made = HubDocuments(sources={"x": "a/b"}, revisions={"x": "0" * 40}, limits={"x": 9}, seed=0)
    assert made.fetches() == [f"dataset a/b at {'0' * 40}"]
    made.stream = True
    assert made.fetches() == [f"dataset a/b at {'0' * 40}, 9 rows over the network"]
    assert made.place("x", tmp_path) == "a/b"
    assert made.options("x", "train") == {"revision": "0" * 40}


def test_a_source_without_such_files_is_refused_at_plan_time(folders):
    with pytest.raises(SettingError, match="holds no"):
        component(folders, files={"code": "java/*.parquet"}).plan_spec()


def test_a_package_that_unpacks_is_asked_for_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(hub_documents, "find_spec", lambda name: None)
    made = HubDocuments(sources={"x": "a/b"}, files={"x": "*.jsonl.zst"}, seed=0)
    with pytest.raises(InputError, match="pip install zstandard"):
        made.run(make_stage(tmp_path))


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(SettingError, match="'y' needs a limit"):
        HubDocuments(sources={"x": "a/b", "y": "a/c"}, limits={"x": 3}, stream=True, seed=0)
    with pytest.raises(SettingError, match="did you mean 'code'"):
        HubDocuments(sources={"code": "a/b"}, files={"cod": "*"}, seed=0)
