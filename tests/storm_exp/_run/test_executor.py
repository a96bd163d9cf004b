"""Making: after failures, full disks, damage, kills and races, the next run finishes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storm_exp import Artifact, InputError, StageContext
from storm_exp.__main__ import main
from storm_exp._run import run as run_module
from storm_exp._store import lease as lease_module
from storm_exp._store import store as store_module
from storm_exp._store.manifest import Manifest
from storm_exp._store.store import Store
from storm_exp.report import RunRecord
from storm_exp.testing import run as run_in

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
    assert last.endswith("… (said in full above, and in the report)")
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


def test_what_changes_outside_between_plan_and_end_is_not_kept(storm, tmp_path, monkeypatch):
    from storm_exp.testing.toys import FromFile

    file = tmp_path / "number.txt"
    file.write_text("3", encoding="utf-8")
    run = FromFile.run

    def edited_meanwhile(self: FromFile, stage: StageContext) -> Artifact:
        file.write_text("44", encoding="utf-8")
        return run(self, stage)

    monkeypatch.setattr(FromFile, "run", edited_meanwhile)
    said = storm("recipe=sum", "source=from_file", f"source.path={file}")
    assert said.code == 1
    assert f"source: {file} changed since the plan was made; nothing was kept" in said.err
    monkeypatch.setattr(FromFile, "run", run)
    assert storm("recipe=sum", "source=from_file", f"source.path={file}").code == 0


def overwrite(file: Path, text: str) -> None:
    """Write a file anew, in a later moment."""
    file.write_text(text, encoding="utf-8")
    later = file.stat().st_mtime_ns + 5_000_000_000
    os.utime(file, ns=(later, later))


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """Return a finished artifact outside the store."""
    file = tmp_path / "finished/value.json"
    file.parent.mkdir()
    file.write_text("7", encoding="utf-8")
    return file


@pytest.mark.parametrize("taken", ["adopted", "linked"])
def test_a_model_that_is_overwritten_while_a_stage_reads_it_does_not_poison_the_store(
    storm, start, tmp_path, finished, values, taken
):
    adopt = ("recipe=sum", f"source={taken}", f"source.path={finished.parent}")
    run = start("-m", "storm_exp", *adopt, "adder=counting", "adder.seconds=2")
    until(lambda: bool(list((tmp_path / "outputs/store/scratch").glob("*/begun"))))
    before = finished.stat()
    overwrite(finished, "8")
    said = run.wait()
    assert said.code == 1
    assert f"adder: {finished} changed since {taken} took it" in said.err
    assert not list((tmp_path / "outputs/store/scratch").glob("*/begun"))
    finished.write_text("7", encoding="utf-8")
    os.utime(finished, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert storm(*adopt, "adder=counting", "adder.seconds=2").code == 0
    assert values()["adder"] == 7


def test_a_file_that_is_back_when_the_stage_ends_was_still_written_meanwhile(
    storm, finished, monkeypatch
):
    from storm_exp.testing.toys import Add

    run = Add.run

    def there_and_back(self: Add, stage: StageContext, number: Artifact) -> Artifact:
        overwrite(finished, "8")
        made = run(self, stage, number)
        overwrite(finished, "7")
        return made

    monkeypatch.setattr(Add, "run", there_and_back)
    adopt = ("recipe=sum", "source=adopted", f"source.path={finished.parent}")
    said = storm(*adopt)
    assert said.code == 1
    assert f"adder: {finished} was written while the stage ran" in said.err
    monkeypatch.setattr(Add, "run", run)
    assert storm(*adopt).code == 0


def test_a_file_that_changes_before_its_stage_begins_is_not_read(storm, finished, monkeypatch):
    from storm_toys.sources import Adopted

    run = Adopted.run

    def overwritten(self: Adopted, stage: StageContext) -> Artifact:
        overwrite(finished, "8")
        return run(self, stage)

    monkeypatch.setattr(Adopted, "run", overwritten)
    said = storm("recipe=sum", "source=adopted", f"source.path={finished.parent}")
    assert said.code == 1
    assert f"source: {finished} changed since the plan was made" in said.err
    assert "not reached" in said.out


def test_what_a_killed_run_began_of_other_contents_is_begun_anew(
    storm, start, tmp_path, finished, values
):
    adopt = ("recipe=sum", "source=adopted", f"source.path={finished.parent}")
    slow = ("adder=slow", "adder.seconds=2")
    run = start("-m", "storm_exp", *adopt, *slow)
    until(lambda: bool(list((tmp_path / "outputs/store/scratch").glob("*/begun"))))
    overwrite(finished, "8")
    run.process.kill()
    run.wait()
    overwrite(finished, "7")
    said = storm(*adopt, *slow)
    assert said.code == 0
    assert "adder: files outside were written since it was begun" in said.err
    assert values()["adder"] == 7


def test_a_file_that_was_only_touched_before_the_run_is_still_the_same(storm, tmp_path, values):
    file = tmp_path / "number.txt"
    file.write_text("3", encoding="utf-8")
    os.utime(file, (1000, 1000))
    arguments = ("recipe=sum", "source=from_file", f"source.path={file}")
    assert storm("plan", *arguments).code == 0
    os.utime(file, (2000, 2000))
    assert storm(*arguments).code == 0
    assert values()["source"] == 3


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
    assert "total: what the store held of this Value cannot be used (" in said.err
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


IMPATIENT = """
import sys
from storm_exp._store import lease
from storm_exp.__main__ import main
lease.PATIENCE_SECONDS = 1.0
sys.exit(main())
"""


def until(true: Callable[[], bool]) -> None:
    """Wait for something, for a minute at most."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("adder", ["slow", "counting"])
def test_a_run_that_was_suspended_waits_for_who_took_over(start, tmp_path, adder):
    arguments = ("-c", IMPATIENT, "recipe=sum", f"adder={adder}", "adder.seconds=4")
    leases = tmp_path / "outputs/store/leases"

    def owners() -> str:
        return "".join(file.read_text() for file in leases.glob("*") if "." not in file.name)

    first = start(*arguments)
    scratch = tmp_path / "outputs/store/scratch"
    until(lambda: bool(list(scratch.glob("*/begun"))))
    first.process.send_signal(signal.SIGSTOP)
    second = start(*arguments)
    until(lambda: f"pid={second.process.pid}" in owners())
    first.process.send_signal(signal.SIGCONT)
    came = [first.wait(), second.wait()]
    assert [said.code for said in came] == [0, 0], came
    assert f"adder: waiting for process {second.process.pid} on" in came[0].err
    runs = [RunRecord.read(folder) for folder in (tmp_path / "outputs/runs").iterdir()]
    statuses = [s.status for run in runs for s in run.cells[0].stages if s.stage == "adder"]
    assert sorted(statuses) == ["made", "waited"]
    assert not (tmp_path / "outputs/store/failures").exists()


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


def fork(run: Callable[[], int]) -> int:
    """Run a function in a child process and return its process id."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            code = run()
        finally:
            os._exit(code)
    return pid


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(owner: object, name: str, when: str, count: int) -> None:
    """Run the recipe, and die before or after the `count`-th call of `owner.name`."""
    original = getattr(owner, name)
    calls = iter(range(1, 1000))

    def deadly(*arguments: object, **more: object) -> object:
        last = next(calls) == count
        if last and when == "before":
            die()
        result = original(*arguments, **more)
        if last:
            die()
        return result

    def run() -> int:
        setattr(owner, name, deadly)
        return main(list(SUM))

    _, status = os.waitpid(fork(run), 0)
    assert os.WIFSIGNALED(status), f"{name} was not called {count} times"
    assert os.WTERMSIG(status) == signal.SIGKILL


def digests(folder: Path) -> dict[str, str]:
    """Return the digests of what a run made or kept, by stage."""
    record = RunRecord.read((folder / "outputs/latest").resolve())
    return {stage.label: stage.digest for stage in record.cells[0].stages}


def inodes(store: Path) -> dict[str, int]:
    """Return the inode of every published file."""
    return {
        str(file): file.stat().st_ino
        for file in store.glob("artifacts/??/*/*")
        if ".partial" not in str(file)
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the digests of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run_in(folder, *SUM).code == 0
    return digests(folder)


@pytest.mark.parametrize(
    ("owner", "name", "when", "count"),
    [
        (store_module, "list_files", "before", 2),
        (Manifest, "sealed", "before", 2),
        (store_module, "fsync_tree", "before", 2),
        (store_module, "fsync_tree", "after", 2),
        (Path, "rename", "before", 2),
        (Path, "rename", "after", 2),
        (RunRecord, "write", "before", 1),
        (RunRecord, "write", "after", 1),
        (run_module, "link_artifacts", "after", 1),
        (run_module, "point_latest", "before", 1),
        (Path, "replace", "before", 2),
        (Path, "replace", "after", 2),
        (run_module, "point_latest", "after", 1),
        (run_module, "write_report", "after", 1),
        (Store, "begin", "after", 2),
        (Store, "open_partial", "after", 2),
        (lease_module.Lease, "acquire", "after", 2),
        (lease_module.Lease, "release", "before", 2),
        (lease_module.Lease, "release", "after", 2),
    ],
)
def test_the_run_after_a_kill_finishes_and_remakes_nothing(
    storm, undisturbed, tmp_path, owner, name, when, count
):
    killed_at(owner, name, when, count)
    published = inodes(tmp_path / "outputs/store")
    assert published
    latest = tmp_path / "outputs/latest"
    assert not latest.is_symlink() or RunRecord.read(latest.resolve()).status == "finished"
    assert storm(*SUM).code == 0
    now = inodes(tmp_path / "outputs/store")
    assert {file: now[file] for file in published} == published
    assert not list((tmp_path / "outputs/store").glob("artifacts/??/.partial*"))
    assert digests(tmp_path) == undisturbed


def test_eight_processes_make_each_stage_once(storm, tmp_path):
    arguments = ["recipe=sum", "adder=slow", "adder.seconds=0.3"]
    children = [fork(lambda: main(arguments)) for _ in range(8)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    runs = [RunRecord.read(folder) for folder in (tmp_path / "outputs/runs").iterdir()]
    assert len(runs) == 8
    statuses = [(s.label, s.status) for run in runs for s in run.cells[0].stages]
    for stage in ("source", "adder", "other", "total"):
        assert statuses.count((stage, "made")) == 1
    assert {status for _, status in statuses} <= {"made", "waited", "kept"}
    assert len({stage.digest for run in runs for stage in run.cells[0].stages}) <= 4
    assert not list((tmp_path / "outputs/store/leases").iterdir())
