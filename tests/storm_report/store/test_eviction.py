"""Space is freed without losing what anybody needs."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from storm_exp import COLLECTION

STORED = ("recipe=sum", "adder=stored")


def key_of(result, label="adder"):
    return result.stage(label).key


def test_what_was_built_from_an_evicted_artifact_is_still_a_hit(storm, store):
    adder = key_of(storm(*STORED))
    freed = storm("store", "gc", "--to", "1MB")
    assert freed.code == 0, freed.err
    assert freed.out.splitlines()[1].split()[:3] == [adder[:12], "stored", "2"]
    assert "freed 2 MB; the store takes" in freed.out
    assert not (store.place(adder) / "payload.bin").exists()
    again = storm(*STORED)
    assert "nothing to make" in again.out
    assert again.stage("adder").status == "evicted"
    assert again.stage("adder").read("value.json") == 2.0, "reports still read its figures"
    assert again.stage("adder").metrics == {"value": 2.0}
    assert not again.record.directory.joinpath("adder").exists(), "no link to what is not whole"
    assert "evicted" in storm("plan", *STORED).out
    assert storm("store", "verify").out.endswith("4 artifacts, 0 damaged, 1 evicted\n")


def test_what_is_needed_again_is_made_again_and_compared(storm, store, monkeypatch):
    adder = key_of(storm(*STORED))
    storm("store", "gc", "--to", "1MB")
    anew = storm(*STORED, "total.factor=2")
    assert anew.stage("adder").status == "made"
    assert "not what was evicted" not in anew.err
    assert store.find(adder).manifest is not None
    assert store.verify(adder) == ""
    assert not list(store.place(adder).glob(".evicted*"))
    assert not [path for path in store.strays() if ".evicted" in path.name]
    storm("store", "rm", adder[:12])
    monkeypatch.setenv("TOY_SALT", "salt")
    other = storm(*STORED, "total.factor=3")
    assert "adder: payload.bin: not what was evicted, although the key is the same" in other.err
    assert store.verify(adder) == ""


def test_the_longest_unused_goes_first(storm):
    first = key_of(storm(*STORED))
    second = key_of(storm(*STORED, "adder.amount=2"))
    storm(*STORED)
    assert storm("store", "gc", "--to=3MB", "--dry-run").out.splitlines()[1].startswith(second[:12])
    storm(*STORED, "adder.amount=2")
    listed = storm("store", "gc", "--to=3MB", "--dry-run")
    assert listed.out.splitlines()[1].startswith(first[:12])
    assert "would free 2 MB" in listed.out
    assert storm("store", "du").out.count("2 MB") == 2, "a dry run removes nothing"


def test_small_artifacts_go_last(storm):
    said = storm("recipe=sum", "adder=stored", "adder.kilobytes=20", "total.factor=2")
    small = key_of(said)
    large = key_of(storm(*STORED))
    said = storm("store", "gc", "--to", "100kB")
    assert large[:12] in said.out
    assert small[:12] not in said.out


def test_what_a_kept_artifact_reads_is_not_evicted(storm, store):
    made = storm(*STORED, "total=referring")
    said = storm("store", "gc", "--to", "1MB")
    assert said.code == 1
    assert "error: that is more than was asked for: 2 MB stay (store why-kept KEY" in said.err
    assert store.find(key_of(made, "total")).manifest is not None
    why = storm("store", "why-kept", key_of(made)[:10]).out
    assert f"read by {key_of(made, 'total')[:12]} (referring), which is kept" in why
    assert storm("store", "rm", key_of(made)[:10]).error.endswith("which is kept")


def test_a_model_that_is_a_link_into_the_store_keeps_what_it_leads_to(storm, store):
    adder = key_of(storm(*STORED))
    place = store.place(adder)
    linked = storm("recipe=sum", "source=linked", f"source.path={place}", "targets=[source]")
    assert linked.code == 0, linked.err
    assert "read by" in storm("store", "why-kept", adder[:10]).out


def test_a_pinned_run_stays(storm):
    made = storm(*STORED, "name=good")
    storm(*STORED, "adder.amount=5")
    pinned = storm("store", "pin", "good")
    assert pinned.code == 0, pinned.err
    said = storm("store", "gc", "--to", "0")
    assert said.code == 1
    assert key_of(made)[:12] not in said.out
    assert said.out.count(" stored ") == 1
    run = made.record.directory.name
    assert f"pinned: {run}" in storm("store", "why-kept", "good").out
    assert "is pinned: storm-exp store unpin" in storm("runs", "rm", "good").error
    assert storm("store", "unpin", run).code == 0
    assert storm("store", "pin").out == "nothing is pinned\n"
    assert "freed 2 MB" in storm("store", "gc", "--to", "10kB").out


def test_a_memo_of_a_pinned_run_stays(storm, store):
    storm("recipe=sum", "adder=remembering", "name=noted")
    storm("store", "pin", "noted")
    memos = [m.key for m in store.manifests() if m.artifact == "memo"]
    assert len(memos) == 2
    for key in memos:
        assert "pinned: " in storm("store", "why-kept", key[:12]).out


def test_an_artifact_of_a_pinned_run_that_was_removed_by_hand_is_named(storm, store):
    made = storm(*STORED, "name=good")
    storm("store", "pin", "good")
    for file in store.place(key_of(made)).iterdir():
        file.unlink()
    store.place(key_of(made)).rmdir()
    line = storm("store", "pin").out.splitlines()[1]
    assert line.endswith("  adder")
    assert storm("store", "gc", "--to", "1MB").code == 0
    shown = storm("runs", "show", "good")
    assert "gone     adder: evicted or deleted; made again with targets=[adder]" in shown.out
    assert storm(*STORED, "targets=[adder]").stage("adder").status == "made"
    assert "gone" not in storm("runs", "show", "good").out


def test_what_is_left_over_is_listed_and_removed(storm, store):
    failed = storm("recipe=sum", "adder=patient", "adder.attempts=3")
    assert failed.code == 1
    made = storm(*STORED)
    (store.place(key_of(made)) / "payload.bin").unlink()
    assert "2: payload.bin" not in storm("store", "ls").out
    storm(*STORED, "total.factor=4")
    partial = store.place(key_of(made)).with_name(f".partial-{key_of(made)}-abc")
    partial.mkdir()
    (partial / "half").write_bytes(bytes(500))
    usage = storm("store", "du").out
    for kind in ("scratch", "failures", "damaged", "unfinished"):
        assert f"{kind} (store rm {kind})" in usage
    assert storm("store", "gc").out.startswith("freed 500 B; the store takes ")
    assert not partial.exists()
    removed = storm("store", "rm", "scratch", "failures", "damaged", "--json")
    assert [item["removed"].split("/")[-2] for item in json.loads(removed.out)["items"]] == [
        "scratch",
        "failures",
        "damaged",
    ]
    assert "store rm" not in storm("store", "du").out


def test_du_says_which_runs_use_what(storm):
    first = storm(*STORED)
    second = storm(*STORED, "total.factor=2")
    said = json.loads(storm("store", "du", "--json").out)
    assert said["verb"] == "store du"
    used = {item["key"]: item["runs"] for item in said["items"]}
    names = [first.record.directory.name, second.record.directory.name]
    assert used[key_of(first)] == names
    assert used[key_of(first, "total")] == names[:1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gc", "--to", "20 parsecs"), "'20 parsecs' is no size: write, for example, 20GB"),
        (("gc", "--too", "1GB"), "--too: no such flag; did you mean '--to'?"),
        (("gc", "--to"), "'' is no size"),
        (("why", "a"), "no such action; did you mean 'why-kept'?"),
        (("pin", "my run/2"), "no run 'my run/2' in outputs"),
        (("unpin", "good"), "'good' is not pinned"),
        (("rm",), "give the first digits of keys, or scratch, failures, damaged, unfinished"),
        (("rm", "zz"), "no artifact 'zz'"),
    ],
)
def test_words_that_mean_nothing_are_named(storm, words, message):
    storm(*STORED)
    said = storm("store", *words)
    assert said.code == 1
    assert message in said.error


def test_a_damaged_pin_stops_everything_that_removes(storm, store):
    storm(*STORED)
    (store.root / "pins").mkdir()
    (store.root / "pins/good.json").write_text("{", encoding="utf-8")
    assert "good.json is damaged, so what is pinned is not known" in storm("store", "gc").error


def test_one_collection_at_a_time(storm, store):
    storm(*STORED)
    lease = store.lease(COLLECTION)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lease.acquire_at_once).result()
        assert not store.lease(COLLECTION).acquire_at_once()
        pool.submit(lease.release).result()
    assert storm("store", "gc").code == 0
