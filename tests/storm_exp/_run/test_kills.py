"""After kills, suspensions and races the next run finishes, and remakes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from storm_exp.__main__ import main
from storm_exp._run import run as run_module
from storm_exp._store import lease as lease_module
from storm_exp._store import store as store_module
from storm_exp._store.manifest import Manifest
from storm_exp._store.store import Store
from storm_exp.report import RunRecord
from storm_exp.testing import run as run_in
from waiting import until

SUM = ("recipe=sum", "adder=weighted")

IMPATIENT = """
import sys
from storm_exp._store import lease
from storm_exp.__main__ import main
lease.PATIENCE_SECONDS = 1.0
sys.exit(main())
"""


@pytest.mark.slow
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
    if adder == "counting":  # what does not look up meanwhile may be done before it hears of it
        assert f"adder: waiting for process {second.process.pid} on" in came[0].err
    runs = [RunRecord.read(folder) for folder in (tmp_path / "outputs/runs").iterdir()]
    statuses = [s.status for run in runs for s in run.cells[0].stages if s.stage == "adder"]
    assert sorted(statuses) == ["made", "waited"]
    assert not (tmp_path / "outputs/store/failures").exists()


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
        (Path, "replace", "before", 3),
        (Path, "replace", "after", 3),
        (run_module, "point_latest", "after", 1),
        (run_module, "write_report", "after", 1),
        (Store, "begin", "after", 2),
        (Store, "open_partial", "after", 2),
        (lease_module.Lease, "acquire", "after", 3),
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
