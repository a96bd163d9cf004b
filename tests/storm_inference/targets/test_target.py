"""What a word names."""

from __future__ import annotations

import json
import struct

import pytest

from storm_exp import InputError
from storm_inference.targets.contents import what_it_holds
from storm_inference.targets.gguf_header import read_gguf_header
from storm_inference.targets.launching import choose_engine, context_length
from storm_inference.targets.target import find_target

KEY = "ab" + "0" * 62
MANIFEST = {
    "key": KEY,
    "component": "toy",
    "version": 1,
    "artifact": "Toy",
    "settings": {},
    "inputs": {},
    "fingerprint": None,
    "spec": {},
    "metrics": {},
    "main_metric": "",
    "files": {},
}


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working directory with a run of two stages: a model and a data set."""
    monkeypatch.chdir(tmp_path)
    store = tmp_path / "outputs/store/artifacts/ab" / KEY
    other = tmp_path / "outputs/store/artifacts/ac" / ("ac" + "1" * 62)
    for place in (store, other):
        place.mkdir(parents=True)
        manifest = MANIFEST | {"key": place.name}
        (place / "manifest.json").write_text(json.dumps(manifest))
    (store / "config.json").write_text("{}")
    run = tmp_path / "outputs/runs/one"
    run.mkdir(parents=True)
    (run / "merger").symlink_to(store)
    (run / "dataset").symlink_to(other)
    (tmp_path / "outputs/latest").symlink_to("runs/one")
    return tmp_path


def a_model(folder):
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_a_label_names_a_stage_of_the_latest_run(work):
    target = find_target("merger")
    assert (target.name, target.place.name) == ("merger", KEY)
    assert target.checkpoint().key == KEY


@pytest.mark.parametrize("word", [KEY, KEY[:6], "outputs/latest/merger"])
def test_a_key_or_a_path_names_an_artifact(work, word):
    assert find_target(word).place.name == KEY


def test_an_artifact_whose_weights_were_evicted_says_how_to_make_them_again(work):
    place = work / "outputs/store/artifacts/ab" / KEY
    files = {"config.json": [2, ""], "model.safetensors": [9, ""]}
    (place / "manifest.json").write_text(json.dumps(MANIFEST | {"files": files}))
    with pytest.raises(InputError, match="safetensors was evicted from the store"):
        find_target("merger")


def test_an_artifact_whose_files_are_elsewhere_is_opened_there(work):
    place = work / "outputs/store/artifacts/ab" / KEY
    elsewhere = a_model(work / "elsewhere")
    (place / "config.json").unlink()
    (place / "manifest.json").write_text(json.dumps(MANIFEST | {"adopted": str(elsewhere)}))
    assert find_target("merger").place == elsewhere


def test_a_label_stands_before_a_folder_of_the_same_name(work):
    a_model(work / "merger")
    assert find_target("merger").place.name == KEY
    assert find_target("./merger").place == work / "merger"
    assert find_target("./merger").checkpoint().key == ""


@pytest.mark.parametrize("word", ["mergr", "", "./nothing", "abcd"])
def test_a_word_that_names_nothing_is_answered_with_what_there_is(work, word):
    with pytest.raises(InputError, match=r"latest run has merger") as raised:
        find_target(word)
    assert str(raised.value).count("merger") == (2 if word == "mergr" else 1)
    end = "either; did you mean 'merger'?" if word == "mergr" else "either"
    assert str(raised.value).endswith(end)


def test_a_run_that_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="there is no run"):
        find_target("merger")


def test_a_sweep_is_said_to_be_one(work):
    (work / "outputs/latest").unlink()
    (work / "outputs/latest/cells").mkdir(parents=True)
    with pytest.raises(InputError, match="is a sweep"):
        find_target("merger")


def test_a_key_of_several_artifacts_is_refused(work):
    (work / "outputs/store/artifacts/ab" / ("ab" + "0" * 61 + "1")).mkdir()
    with pytest.raises(InputError, match="2 artifacts begin with"):
        find_target("ab000000")


def test_a_damaged_manifest_is_named(work):
    (work / "outputs/store/artifacts/ab" / KEY / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="manifest is damaged"):
        find_target("merger")


def test_what_is_no_model_is_refused_with_its_type(work):
    with pytest.raises(InputError, match="'dataset' holds a toy, not a model"):
        choose_engine(find_target("dataset"), None, "transformers")


@pytest.mark.parametrize(
    ("files", "artifact", "words"),
    [
        (["config.json"], "memo", "a model"),
        (["model-Q8_0.gguf"], "GgufFiles", "GGUF files"),
        ([], "LayerTable", "a layer table"),
        ([], "Evaluation", "an evaluation"),
        ([], "Scores", "scores"),
        ([], "TopKLogits", "top k logits"),
    ],
)
def test_what_an_artifact_holds_is_said_in_plain_words(work, files, artifact, words):
    place = work / "outputs/store/artifacts/ac" / ("ac" + "1" * 62)
    manifest = json.dumps(MANIFEST | {"key": place.name, "artifact": artifact})
    (place / "manifest.json").write_text(manifest)
    for file in files:
        (place / file).touch()
    assert what_it_holds(find_target("dataset")) == words


def test_the_first_of_several_gguf_files_is_the_one_that_was_asked_for_first(tmp_path):
    for name in ("model-BF16.gguf", "model-Q8_0.gguf"):
        (tmp_path / name).touch()
    assert [f.name[6:-5] for f in find_target(str(tmp_path)).gguf_files()] == ["BF16", "Q8_0"]
    files = [{"file": "model-Q8_0.gguf"}, {"file": "model-BF16.gguf"}]
    (tmp_path / "gguf.json").write_text(json.dumps({"files": files}))
    assert [f.name[6:-5] for f in find_target(str(tmp_path)).gguf_files()] == ["Q8_0", "BF16"]


def test_a_file_that_is_no_gguf_is_refused(tmp_path):
    (tmp_path / "model.bin").touch()
    with pytest.raises(InputError, match="is not a GGUF file"):
        find_target(str(tmp_path / "model.bin"))


def test_the_engine_is_what_reads_the_files(tmp_path):
    folder, both, gguf = (a_model(tmp_path / "a"), a_model(tmp_path / "b"), tmp_path / "c.gguf")
    gguf.touch()
    (both / "model-Q8_0.gguf").touch()
    chosen = [
        choose_engine(find_target(str(place)), wanted, "vllm")
        for place in (folder, both, gguf)
        for wanted in (None, "llama_cpp")
        if (place, wanted) != (folder, "llama_cpp")
    ]
    assert chosen == ["vllm", "vllm", "llama_cpp", "llama_cpp", "llama_cpp"]
    with pytest.raises(InputError, match=r"llama_cpp needs a GGUF file.*recipe=export"):
        choose_engine(find_target(str(folder)), "llama_cpp", "vllm")
    with pytest.raises(InputError, match="use llama_cpp"):
        choose_engine(find_target(str(gguf)), "transformers", "vllm")


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def header(**values: object) -> bytes:
    """A GGUF file without tensors."""
    out = b"GGUF" + struct.pack("<IQQ", 3, 0, len(values))
    for name, value in values.items():
        out += text(name.replace("__", "."))
        if isinstance(value, str):
            out += struct.pack("<I", 8) + text(value)
        elif isinstance(value, list):
            out += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
        else:
            out += struct.pack("<II", 4, value)
    return out


def test_a_header_is_read_and_lists_are_passed_over(tmp_path):
    file = tmp_path / "a.gguf"
    file.write_bytes(header(general__architecture="llama", words=["a", "é"], llama__size=7))
    assert read_gguf_header(file) == {
        "general.architecture": "llama",
        "words": None,
        "llama.size": 7,
    }


def test_the_context_is_what_the_file_says(tmp_path):
    file = tmp_path / "a.gguf"
    values = {"general__architecture": "llama", "llama__context_length": 64}
    file.write_bytes(header(**values, tokenizer__chat_template="{{ messages }}"))
    assert context_length(file) == 64
    file.write_bytes(header(**values))
    with pytest.raises(InputError, match=r"no chat template.*chat\.template=chatml"):
        context_length(file)


def test_a_header_that_is_damaged_is_named_wherever_it_ends(tmp_path):
    file = tmp_path / "a.gguf"
    whole = header(general__architecture="llama", words=["a", "b"], llama__size=7)
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"a\.gguf"):
            read_gguf_header(file)
    file.write_bytes(whole[:24] + b"\xff" * 40)
    with pytest.raises(InputError, match=r"a\.gguf"):
        read_gguf_header(file)
