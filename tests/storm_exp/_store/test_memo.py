import functools
import hashlib
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from end_to_end.workplace import Workplace
from storm_exp import Artifact, InputError, Runtime
from storm_exp._store import manifest
from storm_exp._store.artifact_maker import Maker
from storm_exp._store.manifest import Manifest
from storm_exp._store.store import Store
from storm_exp.testing import make_stage
from storm_models.testing import make_checkpoint


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def derive(store, name, version, inputs, fill):
    return Maker(store, Runtime()).memo(name, version, inputs, fill)[1]


def writes(text, calls=None, seconds=0.0):
    def fill(directory):
        if calls is not None:
            calls.append(threading.get_ident())
        time.sleep(seconds)
        (directory / "text").write_text(text)

    return fill


def test_of_all_who_ask_one_makes_it(store):
    calls = []
    fill = writes("here", calls, seconds=0.2)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: derive(store, "thing", 1, {"of": "a"}, fill), range(4)))
    assert len(calls) == 1
    assert {(place / "text").read_text() for place in found} == {"here"}
    assert len(set(found)) == 1


def test_name_version_and_inputs_tell_derived_artifacts_apart(store):
    asked = [("thing", 1, {"of": "a"}), ("thing", 2, {"of": "a"}), ("thing", 1, {"of": "b"})]
    asked.append(("other", 1, {"of": "a"}))
    places = [derive(store, *each, writes(str(each))) for each in asked]
    assert [(place / "text").read_text() for place in places] == list(map(str, asked))


def test_memos_of_two_packages_with_one_name_are_kept_apart(store):
    mine, theirs = writes("mine"), writes("theirs")
    theirs.__module__ = "another_plugin.memos"
    bound = functools.partial(theirs)
    places = [derive(store, "norms", 1, {"of": "a"}, fill) for fill in (mine, theirs, bound)]
    assert [(place / "text").read_text() for place in places] == ["mine", "theirs", "theirs"]


def test_what_failed_is_not_kept_and_is_tried_again(store):
    def fails(directory):
        (directory / "text").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        derive(store, "thing", 1, {}, fails)
    assert not list(store.root.glob("artifacts/??/*"))
    assert (derive(store, "thing", 1, {}, writes("whole")) / "text").read_text() == "whole"


def test_what_a_dead_process_left_is_made_again(store):
    place = derive(store, "thing", 1, {}, writes("whole"))
    partial = store.open_partial(place.name)
    (partial / "text").write_text("half")
    place.rename(store.root / "gone")
    assert (derive(store, "thing", 1, {}, writes("whole")) / "text").read_text() == "whole"
    assert not partial.exists()


def test_files_that_were_digested_on_the_way_are_not_read_again(store, monkeypatch):
    read = []
    monkeypatch.setattr(manifest, "file_digest", lambda file: read.append(file.name) or "other")
    right = hashlib.sha256(b"large").hexdigest()

    def fill(directory):
        (directory / "large").write_text("large")
        (directory / "small").write_text("small")
        return {"large": [5, right]}

    place = derive(store, "thing", 1, {"of": "a"}, fill)
    assert read == ["small"]
    assert Manifest.read(place).files == {"large": [5, right], "small": [5, "other"]}


@pytest.mark.parametrize("said", [[5, "ab" * 32], [6, hashlib.sha256(b"large").hexdigest()]])
def test_a_wrong_digest_of_a_memo_is_found(store, said):
    def fill(directory):
        (directory / "large").write_text("large")
        return {"large": said}

    assert store.verify(derive(store, "thing", 1, {"of": "a"}, fill).name)


@pytest.mark.slow
def test_a_parent_that_is_overwritten_meanwhile_is_named_and_nothing_is_kept(tmp_path):
    one, two = (make_checkpoint(tmp_path / name, seed=ord(name)).directory for name in "ab")
    place = Workplace(tmp_path / "work")
    words = ["recipe=merge", f"base_model.path={one}", f"partner.path={two}", "merger.t=0.2"]
    place.run("-m", *words[:-1], "merger.t=0.2,0.4")
    store = Store(place.folder / "outputs/store")
    key = next(m.key for m in store.manifests() if m.settings.get("t") == 0.2)
    weights = one / "model.safetensors"
    other, times = (two / "model.safetensors").read_bytes(), weights.stat()

    def fill(directory):
        weights.write_bytes(other)
        (directory / "text").write_text("of the other")

    message = f"{weights} changed since path took it"
    with pytest.raises(InputError, match=re.escape(message)):
        derive(store, "thing", 1, {"model": key}, fill)
    assert not [m for m in store.manifests() if m.component == "thing"]
    assert times.st_mtime_ns != weights.stat().st_mtime_ns


def test_stages_share_a_memo_and_note_its_key(store, tmp_path):
    maker = Maker(store, Runtime())
    artifact = Artifact(tmp_path, "ab" * 32)
    calls = []
    places = []
    for name in ("one", "two"):
        stage = maker.stage(name, "cd" * 32, tmp_path)
        assert stage.keeps(artifact)
        places.append(stage.memo("thing", 1, {"of": [artifact]}, writes("here", calls)))
        assert stage.memos == [places[0].name]
    assert places[0] == places[1] and len(calls) == 1
    (kept,) = store.manifests()
    assert (kept.artifact, kept.component, kept.inputs) == ("memo", "thing", {"of": ["ab" * 32]})


def test_outside_a_store_a_memo_is_filled_for_the_stage(tmp_path):
    stage = make_stage(tmp_path)
    artifact = Artifact(tmp_path)
    assert not stage.keeps(artifact)
    place = stage.memo("thing", 1, {"of": artifact}, writes("here"))
    assert (place / "text").read_text() == "here" and stage.memos == []
    assert stage.scratch in place.parents


def test_a_plan_counts_memos_and_what_was_written_out(storm, tmp_path):
    recipe = ("recipe=sum", "adder=remembering", "targets=[adder]")
    assert "kept beside" not in storm("plan", *recipe).out
    assert storm(*recipe).code == 0
    assert (tmp_path / "outputs/latest/adder/value.txt").read_text() == "1.5"
    assert (
        "kept beside the artifacts: 2 memos of stages (store ls names" in storm("plan", *recipe).out
    )
    # Another amount finds the half, and nothing was written of it yet.
    said = storm("plan", *recipe, "adder.amount=1")
    assert "kept beside the artifacts: 1 memo of stages" in said.out
    assert "kept beside" not in storm("plan", *recipe, "source.value=9").out
