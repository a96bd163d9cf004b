"""Leases: one maker at a time, and a successor for one that died."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from storm_exp import lease as lease_module
from storm_exp.lease import Lease


def never() -> bool:
    return False


def silent(_: str) -> None:
    return


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "leases" / "key"


def a_dead_process() -> tuple[int, str]:
    """Return id and start time of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = lease_module._start_time(process.pid)
    process.kill()
    process.wait()
    return process.pid, started


def owned_by(file: Path, host: str, pid: int, started: str) -> None:
    """Leave a lease there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    owner = {"host": host, "pid": pid, "started": started, "token": "other"}
    file.write_text(json.dumps(owner), encoding="utf-8")


def test_a_lease_is_taken_and_given_back(file):
    lease = Lease(file)
    assert lease.acquire(never, silent)
    with lease:
        assert json.loads(file.read_text())["pid"] == os.getpid()
    assert not file.exists()
    assert list(file.parent.iterdir()) == []


def test_a_lease_is_given_back_after_a_failure(file):
    lease = Lease(file)
    lease.acquire(never, silent)
    with pytest.raises(ValueError), lease:
        raise ValueError
    assert not file.exists()


def test_who_waits_is_told_once_for_whom_and_goes_when_it_is_done(file):
    holder = Lease(file)
    holder.acquire(never, silent)
    told: list[str] = []
    asked = []

    def done() -> bool:
        asked.append(1)
        return len(asked) > 4

    assert not Lease(file).acquire(done, told.append)
    assert told == [f"process {os.getpid()} on {socket.gethostname()}"]
    holder.release()


def test_who_waits_takes_over_when_the_holder_gives_up(file):
    holder, waiter = Lease(file), Lease(file)
    holder.acquire(never, silent)
    threading.Timer(0.3, holder.release).start()
    assert waiter.acquire(never, silent)
    waiter.release()


def test_a_dead_process_of_this_host_is_succeeded_at_once(file):
    owned_by(file, socket.gethostname(), *a_dead_process())
    lease = Lease(file, patience=3600)
    assert lease.acquire(never, silent)
    lease.release()


def test_a_process_number_that_was_given_out_again_is_no_owner(file):
    owned_by(file, socket.gethostname(), os.getpid(), "12345")
    lease = Lease(file, patience=3600)
    assert lease.acquire(never, silent)
    lease.release()


def test_a_silent_host_is_believed_alive_for_as_long_as_the_patience_lasts(file):
    owned_by(file, "another-host", 1, "1")
    lease = Lease(file, patience=0.5)
    began = time.monotonic()
    assert lease.acquire(never, silent)
    assert time.monotonic() - began >= 0.5
    lease.release()


def test_a_heartbeat_keeps_a_lease(file, monkeypatch):
    monkeypatch.setattr(lease_module, "HEARTBEAT_SECONDS", 0.05)
    # Pretend that the holder is on another host, so that only its heartbeat shows it alive.
    monkeypatch.setattr(lease_module, "_is_gone", lambda _: False)
    holder = Lease(file)
    holder.acquire(never, silent)
    deadline = time.monotonic() + 1.5
    assert not Lease(file, patience=0.5).acquire(lambda: time.monotonic() > deadline, silent)
    holder.release()


def test_a_lease_that_was_taken_over_is_not_given_back_by_its_former_holder(file):
    former = Lease(file)
    former.acquire(never, silent)
    owned_by(file, "another-host", 1, "1")
    former.release()
    assert file.exists()


def test_a_lease_that_cannot_be_read_is_broken_by_time(file):
    file.parent.mkdir(parents=True)
    file.write_text("{half", encoding="utf-8")
    told: list[str] = []
    lease = Lease(file, patience=0.3)
    assert lease.acquire(never, told.append)
    assert told == ["another process"]
    lease.release()


def contend(file: Path, results: Path, rounds: int) -> None:
    """Hold the lease several times, noting when; a second holder inside would be seen."""
    for turn in range(rounds):
        lease = Lease(file)
        lease.acquire(never, silent)
        with lease:
            inside = results / "inside"
            inside.touch(exist_ok=False)
            time.sleep(0.005)
            inside.unlink()
        (results / f"{os.getpid()}-{turn}").touch()


def test_several_processes_hold_a_lease_one_after_the_other(file, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    owned_by(file, socket.gethostname(), *a_dead_process())
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=contend, args=(file, results, 3)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 6
    assert len(list(results.iterdir())) == 18
