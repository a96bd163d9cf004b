"""Making: after failures, full disks and damage, the next run finishes."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

from storm_exp import InputError
from storm_exp._store.manifest import Manifest
from storm_exp._store.store import Store

SUM = ("recipe=sum", "adder=weighted")


def test_a_failure_is_recorded_and_never_kept(storm, tmp_path, statuses):
    said = storm("recipe=sum", "adder=fussy", "source.value=9")
    assert said.code == 1
    assert "error: adder failed with ArithmeticError: that is too much; details in " in said.err
    (failure,) = (tmp_path / "outputs/store/failures").iterdir()
    noted = json.loads(failure.read_text())
    assert noted["error"] == "ArithmeticError: that is too much"
    assert noted["settings"] == {"limit": 5.0}
    assert "raise ArithmeticError" in noted["traceback"]
    assert statuses() == {
        "source": "made",
        "adder": "failed",
        "other": "made",
        "total": "not reached",
    }
    assert storm("recipe=sum", "adder=fussy", "source.value=9").code == 1
    assert statuses()["adder"] == "failed"


def test_what_contradicts_its_plan_is_told_and_kept(storm, tmp_path, record):
    recipe = ("recipe=sum", "total=plans_otherwise")
    said = storm(*recipe)
    assert said.code == 0
    told = "total: value was to be 14.0 and is 28.0, which is a fault of the component 'plans_other"
    assert told in said.err
    assert told in (record().directory / "log.txt").read_text()
    assert record().cells[0].stages[-1].spec == {"value": 28.0}
    assert "a fault of" not in storm("recipe=sum").err


def test_a_failed_run_shows_no_traceback_and_records_why(storm, record):
    said = storm("recipe=sum", "adder=fussy", "source.value=9")
    assert "Traceback" not in said.err
    assert record().status == "failed"
    assert "that is too much" in record().cells[0].stages[1].error


def test_a_long_failure_is_said_in_full_once(storm, record, monkeypatch):
    def fail(self, stage, number):
        raise InputError(f"too much {'of it ' * 200}and that is all", limit=self.limit)

    monkeypatch.setattr("storm_exp.testing.toys.Fussy.run", fail)
    said = storm("recipe=sum", "adder=fussy", "targets=[adder]")
    assert said.err.count("and that is all") == 1
    assert said.err.count("adder.limit=5.0") == 1
    last = said.err.splitlines()[-1]
    assert last.startswith("error: adder: too much of it")
    assert last.endswith("… (in full above, and in the report)")
    assert "and that is all (adder.limit=5.0 from the override `adder=fussy`)" in (
        record().cells[0].stages[1].error
    )


def test_scratch_survives_a_failure_and_is_gone_once_published(storm, tmp_path, values):
    patient = ("recipe=sum", "adder=patient")
    assert storm(*patient).code == 1
    assert len(list((tmp_path / "outputs/store/scratch").glob("*/attempt-0"))) == 1
    assert storm(*patient).code == 0
    assert values()["adder"] == 1 + 2
    assert not list((tmp_path / "outputs/store/scratch").iterdir())


def test_a_full_disk_fails_the_stage_and_says_so(storm, tmp_path, monkeypatch):
    write = Path.write_text

    def full(path: Path, *arguments: object, **more: object) -> int:
        if ".partial-" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full)
    said = storm(*SUM)
    monkeypatch.setattr(Path, "write_text", write)
    assert said.code == 1
    assert "source failed with OSError: [Errno 28] No space left on device" in said.err
    store = tmp_path / "outputs/store"
    assert [path for path in store.glob("artifacts/*/*") if path.name != "failures"] == []
    assert storm(*SUM).code == 0


def test_a_damaged_artifact_is_set_aside_and_remade_loudly(storm, tmp_path, statuses):
    assert storm(*SUM).code == 0
    (tmp_path / "outputs/latest/total").resolve().joinpath("value.json").unlink()
    assert "damaged" in storm("plan", *SUM).out
    said = storm(*SUM)
    assert said.code == 0
    assert "total: the Value in the store cannot be used (" in said.err
    assert "value.json is gone); it was moved to " in said.err
    assert statuses() == {"source": "kept", "adder": "kept", "other": "kept", "total": "made"}
    assert len(list((tmp_path / "outputs/store/damaged").iterdir())) == 1
    assert storm("store", "verify").code == 0


def test_damage_to_what_nothing_needs_any_more_is_told_and_not_mended(storm, tmp_path, statuses):
    assert storm(*SUM).code == 0
    (tmp_path / "outputs/latest/adder").resolve().joinpath("value.json").unlink()
    said = storm(*SUM)
    assert said.code == 0
    assert "damaged, but nothing needs it: adder (" in said.err
    assert statuses()["total"] == "kept"


def test_an_artifact_that_another_process_has_mended_is_not_set_aside(
    storm, tmp_path, monkeypatch, statuses
):
    assert storm(*SUM).code == 0
    place = (tmp_path / "outputs/latest/total").resolve()
    (place / "value.json").rename(tmp_path / "aside")
    lease = Store.lease

    def mended_first(store: Store, key: str):
        if key == place.name:
            (tmp_path / "aside").rename(place / "value.json")
        return lease(store, key)

    monkeypatch.setattr(Store, "lease", mended_first)
    assert storm(*SUM).code == 0
    assert statuses()["total"] == "waited"
    assert not (tmp_path / "outputs/store/damaged").exists()


def test_a_maker_that_was_taken_for_dead_takes_what_its_successor_published(
    storm, tmp_path, monkeypatch, statuses
):
    assert storm(*SUM, "store.path=theirs").code == 0
    publish = Store.publish

    def overtaken(store: Store, partial: Path, manifest: Manifest, *more: Any) -> Manifest:
        if manifest.component == "weighted":
            shutil.rmtree(partial)
            theirs = Store(tmp_path / "theirs").place(manifest.key)
            shutil.copytree(theirs, store.place(manifest.key))
        return publish(store, partial, manifest, *more)

    monkeypatch.setattr(Store, "publish", overtaken)
    assert storm(*SUM).code == 0
    assert statuses()["adder"] == "waited"


def test_adopted_files_that_moved_are_adopted_where_they_are_now(storm, tmp_path, values):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    (first / "value.json").write_text("7", encoding="utf-8")
    adopt = ("recipe=sum", "source=adopted", "targets=[source]")
    assert storm(*adopt, f"source.path={first}").code == 0
    first.rename(second)
    said = storm(*adopt, f"source.path={second}")
    assert said.code == 0
    assert "value.json is gone" in said.err
    assert values()["source"] == 7
    assert (tmp_path / "outputs/latest/source").resolve() == second
