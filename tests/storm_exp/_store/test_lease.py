"""Leases: one maker at a time, and a successor for one that died."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import multiprocessing
import os
import platform
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import SoftFileLease

from storm_exp._store.lease import Lease
from waiting import PATIENCE, until

FOREVER = 3600.0


def never() -> bool:
    return False


def silent(_: str) -> None:
    return


def after(seconds: float) -> Callable[[], bool]:
    """Return a function that is true when some time has passed."""
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() > deadline


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "leases" / "key"


HOLD = """
import sys, time
from pathlib import Path
from storm_exp._store.lease import Lease
lease = Lease(Path(sys.argv[1]), patience=float(sys.argv[2]))
assert lease.acquire(lambda: False, print)
print("held", flush=True)
for line in sys.stdin:
    print("taken" if lease.taken and lease.lost() else "ours", flush=True)
lease.release()
"""


@contextlib.contextmanager
def held_elsewhere(file: Path, patience: float, *before: str) -> Iterator[subprocess.Popen[str]]:
    """Hold a lease in another process, started by the words `before`."""
    words = [*before, sys.executable, "-c", HOLD, str(file), str(patience)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str]) -> str:
    """Return what the holder knows of its lease."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("?\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_a_lease_is_taken_and_given_back(file):
    lease = Lease(file, 30.0)
    assert lease.acquire(never, silent)
    with lease:
        assert f"pid={os.getpid()}" in file.read_text()
    assert list(file.parent.iterdir()) == []


def test_a_lease_is_given_back_after_a_failure(file):
    lease = Lease(file, 30.0)
    lease.acquire(never, silent)
    with pytest.raises(ValueError), lease:
        raise ValueError
    assert not file.exists()


def test_who_waits_is_told_once_for_whom_and_goes_when_it_is_done(file):
    told: list[str] = []
    asked = []

    def done() -> bool:
        asked.append(1)
        return len(asked) > 4

    with held_elsewhere(file, FOREVER) as process:
        assert not Lease(file, FOREVER).acquire(done, told.append)
        assert told == [f"process {process.pid} on {socket.gethostname()}"]


def test_threads_of_a_process_hold_a_lease_one_after_the_other(file):
    holder = Lease(file, 30.0)
    holder.acquire(never, silent)
    waiter = Lease(file, 30.0)
    with ThreadPoolExecutor() as pool:
        came = pool.submit(waiter.acquire, never, silent)
        time.sleep(0.5)
        assert not came.done()
        holder.release()
        assert came.result(PATIENCE)


def test_a_dead_process_of_this_host_is_succeeded_at_once(file):
    with held_elsewhere(file, FOREVER) as process:
        process.kill()
        process.wait()
        lease = Lease(file, FOREVER)
        began = time.monotonic()
        assert lease.acquire(never, silent)
        assert time.monotonic() - began < PATIENCE
    lease.release()


def test_a_process_number_that_was_given_out_again_is_no_owner(file):
    with held_elsewhere(file, FOREVER) as process:
        process.kill()
        process.wait()
        text = file.read_text().replace(f"pid={process.pid}", f"pid={os.getpid()}")
        file.write_text(text)
        lease = Lease(file, FOREVER)
        assert lease.acquire(never, silent)
    lease.release()


def owned_by_another_host(file: Path, patience: float) -> None:
    """Leave a lease there that nobody renews."""
    with held_elsewhere(file, patience) as process:
        process.kill()
        process.wait()
        file.write_text(file.read_text().replace("host=", "host=another-"))


def test_a_silent_host_is_believed_alive_for_as_long_as_the_patience_lasts(file):
    owned_by_another_host(file, 0.5)
    lease = Lease(file, 0.5)
    began = time.monotonic()
    assert lease.acquire(never, silent)
    assert time.monotonic() - began >= 0.5
    lease.release()


def test_a_heartbeat_keeps_a_lease_on_another_host(file):
    holder = Lease(file, 0.6)
    holder.acquire(never, silent)
    # Only the heartbeat shows a holder on another host alive.
    file.write_text(file.read_text().replace("host=", "host=another-"))
    with ThreadPoolExecutor() as pool:
        assert not pool.submit(Lease(file, 0.6).acquire, after(2.5), silent).result()
    assert not holder.lost()
    holder.release()


def test_a_heartbeat_outlives_a_disk_that_fails_for_a_moment(file, monkeypatch):
    holder = Lease(file, 1.5)
    holder.acquire(never, silent)
    renew, failed = os.utime, []

    def failing(*arguments: object, **more: object) -> None:
        if len(failed) < 4:
            failed.append(1)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        renew(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "utime", failing)
    before = file.stat().st_mtime_ns
    time.sleep(1.2)
    assert len(failed) == 4
    assert file.stat().st_mtime_ns > before
    assert not holder.lost()
    holder.release()


def test_a_lease_whose_disk_stands_still_is_ours_until_somebody_takes_it(file, monkeypatch):
    holder, renew = Lease(file, 0.5), os.utime

    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    holder.acquire(never, silent)
    monkeypatch.setattr(os, "utime", failing)
    time.sleep(1)
    assert not holder.lost()
    monkeypatch.setattr(os, "utime", renew)
    successor = Lease(file, 0.5)
    with ThreadPoolExecutor() as pool:
        assert pool.submit(successor.acquire, never, silent).result(PATIENCE)
        assert holder.lost()
        holder.release()
        assert file.exists()


def test_a_process_that_was_suspended_learns_that_it_was_succeeded(file):
    with held_elsewhere(file, 0.6) as process:
        assert ask(process) == "ours"
        process.send_signal(signal.SIGSTOP)
        lease = Lease(file, 0.6)
        assert lease.acquire(never, silent)
        process.send_signal(signal.SIGCONT)
        until(lambda: ask(process) == "taken")
        process.communicate()
        assert process.returncode == 0
        assert f"pid={os.getpid()}" in file.read_text()
        lease.release()


def test_a_lease_that_cannot_be_read_is_broken_by_time(file):
    file.parent.mkdir(parents=True)
    file.write_text("{half", encoding="utf-8")
    told: list[str] = []
    lease = Lease(file, 0.3)
    assert lease.acquire(never, told.append)
    assert told == ["another process"]
    lease.release()


NAMESPACE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*NAMESPACE, "true"], check=False).returncode,
    reason="this machine allows no pid namespaces of one's own",
)
def test_containers_that_share_a_host_name_leave_each_others_leases_alone(file):
    with held_elsewhere(file, FOREVER, *NAMESPACE) as process:
        assert f"pid={process.pid}" not in file.read_text()
        assert not Lease(file, FOREVER).acquire(after(1.5), silent)
        script = HOLD.replace("lambda: False", "iter([False] * 15 + [True]).__next__")
        other = subprocess.run(
            [*NAMESPACE, sys.executable, "-c", script, str(file), str(FOREVER)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "AssertionError" in other.stderr
        assert f"on {socket.gethostname()}\n" in other.stdout
        assert ask(process) == "ours"


RENAMEAT2 = {"x86_64": 316, "aarch64": 276}.get(platform.machine(), 0)


def refuse_exchange() -> None:
    """Have the kernel answer this process as NFS does when two names are to be exchanged."""
    load, jump_if_equal, answer = 0x20, 0x15, 0x06
    allow, invalid = 0x7FFF0000, 0x00050000 | errno.EINVAL
    program = b"".join(
        struct.pack("=HBBI", *step)
        for step in [
            (load, 0, 0, 0),  # the number of the call
            (jump_if_equal, 0, 3, RENAMEAT2),
            (load, 0, 0, 16 + 8 * 4),  # its fifth argument, the flags
            (jump_if_equal, 0, 1, 2),  # RENAME_EXCHANGE
            (answer, 0, 0, invalid),
            (answer, 0, 0, allow),
        ]
    )
    steps = ctypes.create_string_buffer(program, len(program))
    filters = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(steps))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert prctl(22, 2, ctypes.c_char_p(filters)) == 0, ctypes.get_errno()  # PR_SET_SECCOMP


def take_over_without_exchange(file: Path, results: Path) -> None:
    """Contend for a dead process's lease where the file system exchanges no names."""
    refuse_exchange()
    with pytest.raises(TimeoutError):
        SoftFileLease(file, lease_duration=0.4).acquire(timeout=2)
    lease = Lease(file, 0.4)
    assert lease.acquire(never, silent)
    lease.release()
    (results / "taken").touch()


@pytest.mark.skipif(RENAMEAT2 == 0, reason="the number of the system call is not known")
def test_the_dead_are_succeeded_on_file_systems_that_exchange_no_names(file, tmp_path):
    owned_by_another_host(file, 0.4)
    process = multiprocessing.get_context("fork").Process(
        target=take_over_without_exchange, args=(file, tmp_path)
    )
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0
    assert (tmp_path / "taken").exists()


def contend(file: Path, results: Path, rounds: int) -> None:
    """Hold the lease several times, noting when; a second holder inside would be seen."""
    for turn in range(rounds):
        lease = Lease(file, 30.0)
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
    with held_elsewhere(file, 30.0) as process:
        process.kill()
        process.wait()
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=contend, args=(file, results, 3)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0] * 6
    assert len(list(results.iterdir())) == 18
