"""What a run needs is not evicted while it goes on, and one that was killed needs nothing."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storm_exp._run import run as run_module
from storm_exp._store.claim import COLLECTION, claim
from storm_exp._store.store import Store
from storm_exp.testing import run as run_in
from waiting import until

STORED = ("recipe=sum", "adder=stored")
GOES_ON = (*STORED, "adder@other=counting", "other.seconds=60")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "outputs/store")


def test_a_killed_run_claims_nothing_and_a_living_one_what_it_needs(storm, start, store):
    adder = storm(*STORED, "targets=[adder]").stage("adder").key
    going = start("-m", "storm_exp", *GOES_ON)
    until(lambda: list(store.root.glob("scratch/*/begun")))
    said = storm("store", "gc", "--to", "0")
    assert said.code == 1
    assert store.find(adder).manifest is not None
    why = storm("store", "why-kept", adder[:12]).out
    assert "needed by a run that goes on: " in why
    name = why.partition("goes on: ")[2].splitlines()[0]
    assert f"{name} goes on" in storm("runs", "rm", name).error
    assert "freed 0 B" in storm("store", "rm", "scratch").out
    going.process.kill()
    going.process.wait()
    assert storm("store", "gc", "--to", "100kB").code == 0
    assert store.find(adder).evicted is not None
    assert list(store.claims.iterdir()) == []
    assert storm("runs", "rm", name).code == 0


def test_a_claim_ends_with_the_run(storm, store):
    assert storm(*STORED).code == 0
    assert list(store.claims.iterdir()) == []
    assert not list((store.root / "leases").glob("claim*"))


def test_a_claim_names_the_run_and_all_artifacts_of_its_plan(storm, store, monkeypatch):
    seen = []
    whole = run_module._make_missing

    def look(*arguments):
        seen.extend(json.loads(file.read_text()) for file in store.claims.glob("*.json"))
        return whole(*arguments)

    monkeypatch.setattr(run_module, "_make_missing", look)
    made = storm(*STORED)
    assert [Path(each["run"]) for each in seen] == [made.record.directory]
    assert sorted(seen[0]["keys"]) == sorted(stage.key for stage in made.record.stages())


def test_a_run_waits_for_a_collection_and_says_what_it_took(storm, store, monkeypatch, tmp_path):
    adder = storm(*STORED, "targets=[adder]").stage("adder").key
    real = run_module.claim

    def late(*arguments):
        """Evict between the plan and the claim."""
        assert run_in(tmp_path, "store", "rm", adder[:12]).code == 0
        return real(*arguments)

    monkeypatch.setattr(run_module, "claim", late)
    said = storm(*STORED)
    assert said.error == "adder was evicted a moment ago: run it again"
    monkeypatch.undo()
    assert storm(*STORED).code == 0


def test_a_store_that_cannot_be_written_claims_nothing(storm, store):
    assert storm(*STORED).code == 0
    (store.root / "claims").rmdir()
    (store.root / "claims").touch()  # no folder can be made in its place
    assert "nothing to make" in storm(*STORED).out


def test_a_damaged_claim_stops_collections(storm, store):
    storm(*STORED)
    with ThreadPoolExecutor(1) as run:
        claimed = claim(store, Path("run"), ["a"])
        run.submit(claimed.__enter__).result()
        next(store.claims.glob("*.json")).write_text("{", encoding="utf-8")
        said = storm("store", "gc", "--to", "0")
        run.submit(claimed.__exit__, None, None, None).result()
    assert "is damaged, so what a run needs that goes on is not known" in said.error


def test_the_collection_of_a_dead_process_does_not_stop_the_next(storm, store):
    storm(*STORED)
    child = os.fork()
    if child == 0:
        store.lease(COLLECTION).acquire_at_once()
        os._exit(0)
    os.waitpid(child, 0)
    assert store.lease_file(COLLECTION).exists()
    assert storm("store", "gc").code == 0
    assert storm(*STORED).code == 0
