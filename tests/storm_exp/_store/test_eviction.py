"""An eviction, or a replacement of what was evicted, may be cut short at any point."""

from __future__ import annotations

import pytest

from storm_exp._store.eviction import MARK, changed_files, evict, evictable, make_way
from storm_exp._store.manifest import Manifest
from storm_exp._store.store import Store

KEY = "ab" + 62 * "0"


def publish(store: Store, payload: bytes = b"payload") -> Manifest:
    partial = store.open_partial(KEY)
    (partial / "weights.bin").write_bytes(payload)
    (partial / "more.bin").write_bytes(payload)
    (partial / "config.json").write_text("{}")
    manifest = Manifest(
        key=KEY,
        component="toy",
        version=1,
        artifact="Value",
        settings={},
        inputs={},
        fingerprint=None,
        spec={},
        metrics={},
        main_metric="",
        files={},
    )
    return store.publish(partial, manifest)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.prepare()
    return store


def test_manifest_and_small_json_files_stay(store):
    manifest = publish(store)
    place = store.place(KEY)
    assert [file.name for file in evictable(place, manifest)] == ["more.bin", "weights.bin"]
    evict(place, manifest)
    assert sorted(file.name for file in place.iterdir()) == [MARK, "config.json", "manifest.json"]
    found = store.find(KEY)
    assert (found.manifest, found.damage) == (None, "")
    assert found.evicted == manifest
    assert evictable(place, manifest) == []


def test_large_json_files_go(store):
    partial = store.open_partial(KEY)
    (partial / "tokenizer.json").write_bytes(bytes(2 << 20))
    (partial / "small.json").write_text("{}")
    manifest = publish(store)
    manifest.files = {"tokenizer.json": [2 << 20, ""], "config.json": [2, ""]}
    (store.place(KEY) / "tokenizer.json").touch()
    names = [file.name for file in evictable(store.place(KEY), manifest)]
    assert names == ["tokenizer.json"]


def test_an_eviction_that_was_cut_short_counts_as_one(store):
    manifest = publish(store)
    place = store.place(KEY)
    (place / MARK).touch()
    assert store.find(KEY).manifest == manifest, "everything is there still"
    (place / "more.bin").unlink()
    assert store.find(KEY).evicted == manifest
    evict(place, manifest)
    assert not (place / "weights.bin").exists()


def test_a_file_that_was_deleted_by_hand_is_damage(store):
    publish(store)
    (store.place(KEY) / "more.bin").unlink()
    assert "more.bin is gone" in store.find(KEY).damage


def test_what_is_made_again_takes_the_place(store):
    former = publish(store)
    evict(store.place(KEY), former)
    assert changed_files(former, publish(store)) == []
    assert store.find(KEY).manifest is not None
    assert store.strays() == []
    evict(store.place(KEY), former)
    assert changed_files(former, publish(store, b"another")) == ["more.bin", "weights.bin"]


def test_a_replacement_that_was_cut_short_loses_no_manifest(store):
    manifest = publish(store)
    evict(store.place(KEY), manifest)
    make_way(store.place(KEY))
    assert store.find(KEY).evicted is None
    store.open_partial(KEY)
    assert store.find(KEY).evicted == manifest


def test_a_reference_to_what_was_evicted_is_no_hit(store):
    manifest = publish(store)
    other = "cd" + 62 * "0"
    partial = store.open_partial(other)
    (partial / "sum.json").write_text("{}")
    changes = {"key": other, "references": [KEY], "files": {}}
    store.publish(partial, Manifest(**{**vars(manifest), **changes}))
    assert store.find(other).manifest is not None
    evict(store.place(KEY), manifest)
    assert "it references ab0000000000" in store.find(other).damage
