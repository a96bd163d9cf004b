"""Leases: one process makes an artifact, the others wait, and take over if it died.

A lease is a file with its owner's name, and a heartbeat: the owner rewrites its modification time.
A waiter believes that an owner is dead when the heartbeat stands still on the waiter's own clock,
or at once when the owner was a process of this host that is gone. This holds on shared file
systems, where locks may not. Should two owners ever coexist (a process that was stopped for
longer than the patience), nothing breaks: each fills its own directory, one rename wins.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

HEARTBEAT_SECONDS = 2.0
PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.1


class Lease:
    """The right to make one artifact, held as a context manager."""

    def __init__(self, file: Path, patience: float = PATIENCE_SECONDS) -> None:
        """Contend for `file`; an owner silent for `patience` seconds counts as dead."""
        self._file = file
        self._patience = patience
        self._token = secrets.token_hex(8)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, done: Callable[[], bool], waiting: Callable[[str], None]) -> bool:
        """Wait for the lease; return False as soon as `done()`: somebody else made it.

        `waiting` is told once who holds the lease.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True)
        told = False
        seen: tuple[str, int] | None = None
        since = time.monotonic()
        while True:
            if self._create():
                self._thread = threading.Thread(target=self._beat, daemon=True)
                self._thread.start()
                return True
            if done():
                return False
            owner = self._read()
            if owner != seen:
                seen, since = owner, time.monotonic()
            if owner is not None:
                if not told:
                    told = True
                    waiting(_describe(owner[0]))
                if _is_gone(owner[0]) or time.monotonic() - since > self._patience:
                    self._break(owner[0])
                    continue
            time.sleep(_POLL_SECONDS)

    def release(self) -> None:
        """Give the lease up, if it is still ours."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        owner = self._read()
        if owner is not None and self._token in owner[0]:
            self._file.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _create(self) -> bool:
        # Written aside and linked: the lease appears whole or not at all.
        draft = self._file.with_name(f".{self._file.name}.{self._token}")
        owner = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": _start_time(os.getpid()),
            "token": self._token,
        }
        draft.write_text(json.dumps(owner), encoding="utf-8")
        try:
            os.link(draft, self._file)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _read(self) -> tuple[str, int] | None:
        try:
            return self._file.read_text(encoding="utf-8"), self._file.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            try:
                os.utime(self._file)
            except FileNotFoundError:
                return

    def _break(self, owner: str) -> None:
        # The rename decides among several that break the same lease. One that arrives late may
        # have taken a newer lease away, and puts it back.
        aside = self._file.with_name(f".{self._file.name}.{self._token}.broken")
        try:
            self._file.rename(aside)
        except FileNotFoundError:
            return
        if aside.read_text(encoding="utf-8") != owner:
            with contextlib.suppress(FileExistsError):
                os.link(aside, self._file)
        aside.unlink(missing_ok=True)


def _start_time(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    killed_but_not_yet_reaped = fields[0] == "Z"
    return "" if killed_but_not_yet_reaped else fields[19]


def _is_gone(text: str) -> bool:
    try:
        owner = json.loads(text)
    except ValueError:
        return False
    if owner["host"] != socket.gethostname():
        return False
    return _start_time(int(owner["pid"])) != str(owner["started"])


def _describe(text: str) -> str:
    try:
        owner = json.loads(text)
    except ValueError:
        return "another process"
    return f"process {owner['pid']} on {owner['host']}"
