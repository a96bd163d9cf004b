"""Leases: one process makes an artifact, the others wait, and take over if it died.

They are filelock's soft leases: a file that names its owner, whose modification time the owner
renews. A waiter believes that an owner is dead when the file stands still on the waiter's own
clock, or at once when it was a process of this host, boot and pid namespace that is gone. Should
two owners ever coexist (one was suspended, or its disk stood still), nothing breaks: each fills
its own directory, one rename wins, and the former owner waits for its successor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from filelock import SoftFileLease, Timeout

if TYPE_CHECKING:
    from filelock import LeaseCompromise

PATIENCE_SECONDS = 30.0
_BEATS = 15
"""Heartbeats within the patience."""
_POLL_SECONDS = 0.1


class Lease:
    """The right to make one artifact, held as a context manager."""

    def __init__(self, file: Path, patience: float) -> None:
        """Contend for `file`; an owner silent for `patience` seconds counts as dead."""
        self._file = file
        self._patience = patience
        self._token: str | None = None
        self._lease = SoftFileLease(
            file,
            mode=0o644,
            lease_duration=patience,
            heartbeat_interval=patience / _BEATS,
            on_compromise=self._hear,
        )
        self.taken = False
        """Whether the heartbeat met another's lease in the place of this one."""

    def lost(self) -> bool:
        """Look whether this lease, once acquired, is ours no longer."""
        owner = self._lease.owner
        return owner is None or owner.token != self._token

    def acquire(self, done: Callable[[], bool], waiting: Callable[[str], None]) -> bool:
        """Wait for the lease; return False as soon as `done()`: somebody else made it.

        `waiting` is told once who holds the lease. Raises OSError when the file cannot be written.
        """
        told = False
        seen: tuple[int, ...] = ()
        since = time.monotonic()

        def cancelled() -> bool:
            nonlocal told, seen, since
            if done():
                return True
            if not told:
                told = True
                waiting(self._describe())
            state = self._state()
            if state != seen:
                seen, since = state, time.monotonic()
            # filelock leaves the dead's lease alone where two names cannot be exchanged in one step
            # (NFS, SMB), lest there be two owners. Here two owners do no harm, and none would.
            if time.monotonic() - since > 1.5 * self._patience:
                self._lease.force_break()
            return False

        try:
            self._lease.acquire(poll_interval=_POLL_SECONDS, cancel_check=cancelled)
        except Timeout:
            return False
        self._token = self._lease.token
        return True

    def release(self) -> None:
        """Give the lease up, if it is still ours."""
        self._lease.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _hear(self, loss: LeaseCompromise) -> None:
        self.taken = loss.reason == "owner-changed"

    def _state(self) -> tuple[int, ...]:
        try:
            status = self._file.stat()
        except OSError:
            return ()
        return status.st_mtime_ns, status.st_ino, status.st_ctime_ns

    def _describe(self) -> str:
        owner = self._lease.owner
        if owner is None:
            return "another process"
        return f"process {owner.pid} on {owner.hostname.partition('?')[0]}"
