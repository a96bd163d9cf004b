"""What surrounds a run: folders, file systems and facts that turn out otherwise than forecast."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from storm_exp._run.record import new_run_folder, point_latest
from storm_exp._store import manifest as manifest_module
from storm_exp._store.store import Store
from storm_exp.report import RunRecord


def test_what_an_artifact_turned_out_to_be_is_held_against_what_needs_it_at_once(
    storm, statuses, monkeypatch
):
    from storm_exp.testing.toys import Add

    def run(*_: object, **__: object) -> None:
        raise AssertionError("it was refused before")

    monkeypatch.setattr(Add, "run", run)
    said = storm("recipe=sum", "adder=weighted", "source.value=60", "graph.other.number=adder")
    assert said.code == 1
    refused = "other.amount=10.0: the sum would be more than 100"
    assert refused in said.err
    assert ", as adder turned out" in said.err
    assert "] other (" not in said.err
    assert statuses() == {
        "source": "made",
        "adder": "made",
        "other": "failed",
        "total": "not reached",
    }


def test_a_store_that_cannot_be_written_is_told_before_the_first_stage(storm, tmp_path):
    (tmp_path / "store").write_text("a file", encoding="utf-8")
    said = storm("recipe=sum", "store.path=store")
    assert said.code == 1
    assert f"cannot write to the store at {tmp_path}/store" in said.err
    assert "[1/4]" not in said.err


def test_outputs_that_are_a_file_are_named(storm, tmp_path):
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    said = storm("recipe=sum", "outputs=out", "store.path=kept")
    assert said.code == 1
    assert f"error: cannot write {tmp_path}/out/runs: Not a directory" in said.err


def test_a_tilde_is_the_home_folder(storm, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert storm("recipe=sum", "store.path='~/kept'").code == 0
    assert len(Store(tmp_path / "home/kept").keys()) == 4
    assert storm("store", "verify", "store.path=~/kept").code == 0
    assert not (tmp_path / "~").exists()


def test_a_file_system_without_links_keeps_record_and_report(storm, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "symlink_to", refuse)
    said = storm("recipe=sum")
    assert said.code == 0
    assert "cannot link to what was made: " in said.err
    (run,) = (tmp_path / "outputs/runs").iterdir()
    assert (run / "report.html").is_file()
    assert f"report   outputs/runs/{run.name}/report.html" in said.out
    assert RunRecord.read(run).status == "finished"


def test_a_file_system_that_flushes_no_folders_and_knows_no_modes_holds_a_store(storm, monkeypatch):
    flush = os.fsync

    def only_files(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir():
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        flush(descriptor)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(manifest_module.os, "fsync", only_files)
    monkeypatch.setattr(Path, "chmod", refuse)
    assert storm("recipe=sum").code == 0
    assert storm("store", "verify").code == 0


def test_a_file_that_cannot_be_flushed_is_still_an_error(storm, monkeypatch):
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(manifest_module.os, "fsync", broken)
    said = storm("recipe=sum")
    assert said.code == 1
    assert "source failed with OSError: [Errno 5] Input/output error" in said.err


def test_a_clock_that_stands_still_or_goes_back_tells_runs_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda _: "2026-01-01_00-00-00")
    folders = [new_run_folder(tmp_path, "sum") for _ in range(3)]
    assert len(set(folders)) == 3
    for folder in folders:
        point_latest(tmp_path, folder)
        assert (tmp_path / "latest").resolve() == folder


def test_runs_of_one_second_and_another_umask_share_a_store(start, tmp_path):
    script = "import os; from storm_exp.__main__ import main; os.umask(0o277); exit(main())"
    runs = [start("-c", script, "recipe=sum", f"outputs=out-{n}", "store.path=s") for n in range(2)]
    ends = [run.wait() for run in runs]
    if os.geteuid() == 0:  # whom no mode stops
        assert [said.code for said in ends] == [0, 0], ends
    assert not any("Traceback" in said.err for said in ends)


@pytest.mark.parametrize("what", ["nothing", "elsewhere"])
def test_a_stage_that_fills_no_directory_of_its_own_publishes_nothing(
    storm, tmp_path, monkeypatch, what
):
    from storm_exp.testing.toys import Number, Value

    def run(self: Number, stage: object) -> Value:
        there = Path(stage.directory) if what == "nothing" else tmp_path / "there"  # type: ignore[attr-defined]
        monkeypatch.setattr(Value, "spec", lambda self: self.spec_type())
        there.mkdir(exist_ok=True)
        return Value(there)

    monkeypatch.setattr(Number, "run", run)
    said = storm("recipe=sum")
    assert said.code == 1
    problem = "no file was written" if what == "nothing" else "which is not in"
    assert f"source: {problem}" in said.err or problem in said.err
    assert Store(tmp_path / "outputs/store").keys() == []


def test_a_plan_says_where_the_disk_has_no_room(storm, tmp_path, monkeypatch):
    from storm_models.estimate import estimate
    from storm_models.estimate.hardware import GIB

    usage = type("Usage", (), {"free": 3 * GIB})
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda _: usage)
    costly = ("plan", "recipe=sum", "adder=costly", "source.value=2", "adder.amount=1")
    assert "will be written" not in storm(*costly).out
    usage.free = 0
    assert f"will be written, and {tmp_path} has 0 GiB free" in storm(*costly).out
