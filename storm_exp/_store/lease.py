"""Leases: one process makes an artifact, the others wait, and take over if it died.

They are soft leases of the library filelock: a file that names its owner, who renews its
modification time. A waiting process considers the owner dead if the file is not renewed for a
while by the waiter's own clock, or immediately if the owner was a process of the same host, boot
and pid namespace that no longer exists. Two owners may coexist, if one was suspended for example.
This is harmless: each fills its own directory, one rename succeeds, and the previous owner waits
for its successor.
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
    """The right to make one artifact; a context manager that releases it."""

    def __init__(self, file: Path, patience: float) -> None:
        """Use `file`; an owner that does not renew it for `patience` seconds counts as dead."""
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
        """Whether the heartbeat noticed that another process has taken the lease."""

    def lost(self) -> bool:
        """Return whether this lease, once acquired, now belongs to another process or nobody."""
        owner = self._lease.owner
        return owner is None or owner.token != self._token

    def acquire(self, done: Callable[[], bool], waiting: Callable[[str], None]) -> bool:
        """Wait for the lease; return False once `done()`: another process made the artifact.

        `waiting` is called once with a description of the owner. Raises OSError if the file cannot
        be written.
        """
        announced = False
        seen: tuple[int, ...] = ()
        since = time.monotonic()

        def cancelled() -> bool:
            nonlocal announced, seen, since
            if done():
                return True
            if not announced:
                announced = True
                waiting(self._describe())
            state = self._state()
            if state != seen:
                seen, since = state, time.monotonic()
            # filelock does not break a dead owner's lease where two names cannot be exchanged
            # atomically (NFS, SMB), to avoid two owners. Here two owners are harmless.
            if time.monotonic() - since > 1.5 * self._patience:
                self._lease.force_break()
            return False

        try:
            self._lease.acquire(poll_interval=_POLL_SECONDS, cancel_check=cancelled)
        except Timeout:
            return False
        self._token = self._lease.token
        return True

    def acquire_at_once(self) -> bool:
        """Acquire the lease unless a living process has it; raises OSError if it cannot."""
        attempts = iter(range(1))  # the first attempt breaks the lease of a dead process
        return self.acquire(lambda: next(attempts, None) is None, lambda _: None)

    def release(self) -> None:
        """Release the lease, if it is still ours."""
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
