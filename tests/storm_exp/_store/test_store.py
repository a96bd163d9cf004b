"""The store: whole artifacts or none, and a hit only when everything is there."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from storm_exp import FileDigests, StoreError
from storm_exp._contract.digest import file_digest
from storm_exp._store.manifest import MANIFEST, Manifest, list_files
from storm_exp._store.store import Store

KEY = "ab" + "0" * 62
OTHER = "cd" + "1" * 62


def a_manifest(key: str = KEY, **more: object) -> Manifest:
    """Return a manifest whose files are not listed yet."""
    values: dict[str, object] = {
        "key": key,
        "component": "number",
        "version": 1,
        "artifact": "Value",
        "settings": {},
        "inputs": {},
        "fingerprint": None,
        "spec": {},
        "metrics": {},
        "main_metric": "",
        "files": {},
    }
    return Manifest(**{**values, **more})  # type: ignore[arg-type]


def publish(store: Store, key: str = KEY, text: str = "content", **more: object) -> Manifest:
    """Publish an artifact of two files."""
    partial = store.open_partial(key)
    (partial / "sub").mkdir()
    (partial / "a.txt").write_text(text, encoding="utf-8")
    (partial / "sub" / "b.txt").write_text("more", encoding="utf-8")
    return store.publish(partial, a_manifest(key, **more))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_what_was_published_is_found(store):
    publish(store)
    found = store.find(KEY)
    assert found.manifest is not None
    assert found.manifest.files == {
        "a.txt": [7, file_digest(store.place(KEY) / "a.txt")],
        "sub/b.txt": [4, file_digest(store.place(KEY) / "sub" / "b.txt")],
    }
    assert store.verify(KEY) == ""


def test_nothing_lies_where_nothing_was_published(store):
    assert store.find(KEY).manifest is None
    assert store.find(KEY).damage == ""


def test_an_unpublished_artifact_is_not_found(store):
    partial = store.open_partial(KEY)
    (partial / "a.txt").write_text("half", encoding="utf-8")
    assert store.find(KEY).manifest is None
    assert list(store.manifests()) == []


def test_published_files_are_read_only(store):
    publish(store)
    files = [path for path in store.place(KEY).rglob("*") if path.is_file()]
    assert len(files) == 3
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o444 for file in files)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda place: (place / "a.txt").unlink(), "a.txt is gone"),
        (lambda place: (place / MANIFEST).unlink(), "manifest.json is missing"),
        (
            lambda place: rewrite(place / MANIFEST, '{"key": 3'),
            "manifest.json is missing or unread",
        ),
        (lambda place: rewrite(place / MANIFEST, '{"key": 3}'), "manifest.json is missing or unre"),
        (lambda place: rewrite(place / MANIFEST, "[]"), "manifest.json is missing or unreadable"),
        (lambda place: rewrite(place / "a.txt", "conten"), "has 6 bytes, 7 were published"),
    ],
)
def test_a_damaged_artifact_is_no_hit(store, harm, said):
    publish(store)
    harm(store.place(KEY))
    found = store.find(KEY)
    assert found.manifest is None
    assert said in found.damage


def rewrite(file: Path, text: str) -> None:
    """Write a read-only file."""
    file.chmod(0o644)
    file.write_text(text, encoding="utf-8")


def test_verify_finds_what_sizes_do_not_show(store):
    publish(store)
    rewrite(store.place(KEY) / "a.txt", "CONTENT")
    assert store.find(KEY).manifest is not None
    assert "does not have the contents that were published" in store.verify(KEY)


def test_artifacts_whose_folders_were_swapped_are_found(store):
    publish(store, KEY, "content")
    publish(store, OTHER, "CONTENT")
    store.place(KEY).rename(store.root / "aside")
    store.place(OTHER).rename(store.place(KEY))
    (store.root / "aside").rename(store.place(OTHER))
    assert store.find(KEY).damage == "manifest.json belongs to cd1111111111"
    assert "belongs to ab0000000000" in store.verify(OTHER)


@pytest.mark.parametrize("field", ["component", "metrics", "settings", "made"])
def test_a_manifest_that_says_something_else_than_was_published_is_found(store, field):
    publish(store)
    file = store.place(KEY) / MANIFEST
    values = json.loads(file.read_text())
    values[field] = "else" if field == "component" else {"else": 1.0}
    rewrite(file, json.dumps(values))
    assert "manifest.json is not what was published" in store.verify(KEY)


def test_a_manifest_with_a_foreign_key_and_payload_is_found(store):
    publish(store, KEY, "content")
    publish(store, OTHER, "CONTENT")
    for name in ("a.txt", MANIFEST):
        text = (store.place(OTHER) / name).read_text().replace(OTHER, KEY)
        rewrite(store.place(KEY) / name, text)
    assert "manifest.json is not what was published" in store.verify(KEY)


def test_what_is_no_artifact_is_listed_and_harms_nothing(store):
    publish(store)
    begun = store.open_partial(OTHER)
    (store.place(KEY).parent / ".DS_Store").touch()
    (store.root / "artifacts/notes").mkdir()
    (store.root / "artifacts/notes/x").touch()
    store.place(KEY).parent.joinpath(OTHER).mkdir()  # a place for another key
    assert store.keys() == [KEY]
    assert [m.key for m in store.manifests()] == [KEY]
    assert store.resolve("a") == KEY
    found = {path.name for path in store.strays()}
    assert found == {begun.name, ".DS_Store", "x", OTHER}


def test_a_store_that_may_not_be_read_is_not_taken_for_damaged(store, monkeypatch):
    publish(store)

    def denied(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_text", denied)
    with pytest.raises(StoreError, match=r"cannot read .*manifest.json: Permission denied"):
        store.find(KEY)


def test_an_artifact_without_what_it_references_is_no_hit(store):
    publish(store, OTHER)
    publish(store, KEY, references=[OTHER])
    assert store.find(KEY).manifest is not None
    (store.place(OTHER) / "a.txt").unlink()
    assert "it references cd1111111111, which is not in the store" in store.find(KEY).damage


def test_a_damaged_artifact_is_set_aside_and_kept(store):
    publish(store)
    (store.place(KEY) / "a.txt").unlink()
    aside = store.set_aside(KEY)
    assert store.find(KEY).damage == ""
    assert (aside / "sub" / "b.txt").is_file()
    publish(store)
    assert store.find(KEY).manifest is not None


def test_losing_the_race_is_a_hit(store):
    slow = store.open_partial(KEY)
    (slow / "a.txt").write_text("slow", encoding="utf-8")
    fast = slow.with_name(f".partial-{KEY}-fast")
    fast.mkdir()
    (fast / "a.txt").write_text("fast", encoding="utf-8")
    store.publish(fast, a_manifest(metrics={"who": 1.0}))
    found = store.publish(slow, a_manifest(metrics={"who": 2.0}))
    assert found.metrics == {"who": 1.0}
    assert (store.place(KEY) / "a.txt").read_text(encoding="utf-8") == "fast"
    assert not slow.exists()


def test_what_a_dead_maker_left_is_cleared(store):
    left = store.open_partial(KEY)
    (left / "half").write_text("x", encoding="utf-8")
    store.open_partial(KEY)
    assert not left.exists()


def test_a_store_of_another_format_is_named_with_what_to_do(storm, tmp_path):
    assert storm("recipe=sum").code == 0
    store = tmp_path / "outputs/store"
    assert storm("recipe=sum").code == 0
    (store / "format").write_text("3")
    newer = storm("plan", "recipe=sum").err
    assert f"{store} is of format 3, and this storm-exp reads" in newer
    assert "pip install --upgrade storm-exp, move it away" in newer
    (store / "format").unlink()  # as the first one, which had no such file
    for words in (("recipe=sum",), ("store", "ls"), ("rehearse", "recipe=sum")):
        said = storm(*words)
        assert said.code == 1
        assert f"{store} is of format 1" in said.err
        assert f"mv {store} {store}-1" in said.err and "store.path=DIR" in said.err
        assert "--upgrade" not in said.err
    store.rename(f"{store}-1")
    assert storm("recipe=sum").code == 0


def test_scratch_is_gone_once_published(store):
    store.scratch(KEY).mkdir(parents=True)
    (store.scratch(KEY) / "shard").touch()
    publish(store)
    assert not store.scratch(KEY).exists()


@pytest.mark.parametrize("call", ["write_text", "rename", "fsync"])
def test_a_full_disk_publishes_nothing(store, monkeypatch, call):
    partial = store.open_partial(KEY)
    (partial / "a.txt").write_text("content", encoding="utf-8")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os if call == "fsync" else Path, call, full)
    with pytest.raises(OSError, match="No space left on device"):
        store.publish(partial, a_manifest())
    monkeypatch.undo()
    assert store.find(KEY).manifest is None
    assert not store.place(KEY).exists()


def test_an_artifact_holds_no_links(tmp_path):
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(StoreError, match="link: an artifact holds plain files and folders only"):
        list_files(tmp_path)


def adopt(store: Store, folder: Path) -> None:
    """Publish an artifact whose file lies in `folder`."""
    manifest = a_manifest(adopted=str(folder))
    store.publish(store.open_partial(KEY), manifest, ["weights"])


def test_a_linked_file_is_watched_like_an_adopted_one(store, finished):
    partial = store.open_partial(KEY)
    (partial / "notes").write_text("own", encoding="utf-8")
    (partial / "weights").symlink_to(finished / "weights")
    store.publish(partial, a_manifest(), linked=["weights"])
    manifest = store.find(KEY).manifest
    assert manifest is not None and set(manifest.files) == {"notes", "weights"}
    assert manifest.payload(store.place(KEY)) == store.place(KEY)
    assert os.access(finished / "weights", os.W_OK)
    assert store.verify(KEY) == ""
    os.utime(finished / "weights", (1, 1))
    assert "modified since it was adopted" in store.find(KEY).damage
    (finished / "weights").unlink()
    assert "is gone" in store.find(KEY).damage


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    folder = tmp_path / "finished"
    folder.mkdir()
    (folder / "weights").write_text("w" * 100, encoding="utf-8")
    (folder / "notes").write_text("not taken", encoding="utf-8")
    return folder


def test_adopted_files_stay_where_they_lie_and_as_they_are(store, finished):
    adopt(store, finished)
    manifest = store.find(KEY).manifest
    assert manifest is not None
    assert manifest.payload(store.place(KEY)) == finished
    assert set(manifest.files) == {"weights"}
    assert [path.name for path in store.place(KEY).iterdir()] == [MANIFEST]
    assert os.access(finished / "weights", os.W_OK)
    assert store.verify(KEY) == ""


def test_an_adopted_file_that_moved_is_no_hit(store, finished):
    adopt(store, finished)
    finished.rename(finished.with_name("elsewhere"))
    assert "weights is gone" in store.find(KEY).damage


def test_an_adopted_file_that_was_touched_is_no_hit(store, finished):
    adopt(store, finished)
    os.utime(finished / "weights", (1, 1))
    assert "weights was modified since it was adopted" in store.find(KEY).damage


def test_a_prefix_names_one_artifact(store):
    publish(store, KEY)
    publish(store, OTHER)
    assert store.resolve("ab") == KEY
    with pytest.raises(StoreError, match="no artifact 'ee' in"):
        store.resolve("ee")
    with pytest.raises(StoreError, match="2 artifacts begin with '': give more digits"):
        store.resolve("")


def test_a_manifest_is_read_as_it_was_written(store):
    written = publish(store, metrics={"loss": 0.1}, settings={"t": 0.5, "dict": {"a": [1]}})
    assert store.find(KEY).manifest == written
    assert json.loads((store.place(KEY) / MANIFEST).read_text())["settings"]["t"] == 0.5


def test_a_store_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "store").write_text("a file", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot write to the store at"):
        Store(tmp_path / "store").open_partial(KEY)


def test_a_digest_is_remembered_until_the_file_changes(tmp_path, monkeypatch):
    file = tmp_path / "model"
    file.write_text("one", encoding="utf-8")
    os.utime(file, (1000, 1000))
    first = FileDigests(tmp_path / "memory.json").digest(file)
    monkeypatch.setattr("storm_exp._contract.digest.file_digest", lambda _: "read again")
    assert FileDigests(tmp_path / "memory.json").digest(file) == first
    file.write_text("two", encoding="utf-8")
    assert FileDigests(tmp_path / "memory.json").digest(file) == "read again"


def test_a_file_is_not_read_again_through_a_link_to_it(tmp_path, monkeypatch):
    file, link = tmp_path / "model", tmp_path / "artifact" / "model"
    file.write_text("one", encoding="utf-8")
    os.utime(file, (1000, 1000))
    link.parent.mkdir()
    link.symlink_to(file)
    first = FileDigests(tmp_path / "memory.json").digest(file)
    monkeypatch.setattr("storm_exp._contract.digest.file_digest", lambda _: "read again")
    assert FileDigests(tmp_path / "memory.json").digest(link) == first


def test_a_file_written_a_moment_ago_is_not_trusted_to_its_time(tmp_path):
    file = tmp_path / "model"
    digests = FileDigests(tmp_path / "memory.json")
    file.write_text("one", encoding="utf-8")
    before = file.stat()
    first = digests.digest(file)
    file.write_text("two", encoding="utf-8")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digests.digest(file) != first


def test_a_damaged_memory_of_digests_is_forgotten(tmp_path):
    (tmp_path / "memory.json").write_text('{"half', encoding="utf-8")
    file = tmp_path / "model"
    file.write_text("one", encoding="utf-8")
    assert FileDigests(tmp_path / "memory.json").digest(file) == file_digest(file)
