"""Eviction of the artifacts that were not used for longest, and removal of what is left over."""

from __future__ import annotations

import dataclasses
import shutil

from storm_exp import Store, StormError, evict
from storm_report.store.inventory import Entry, Inventory, Leftover
from storm_report.store.protection import Protection

_WORTHWHILE = 1_000_000
"""Bytes; what would free less is evicted last, as it takes time to make and hardly any room."""


@dataclasses.dataclass
class Collected:
    """What was evicted, or would be."""

    entries: list[Entry]
    freed: int
    left: int
    """Bytes of the store afterwards."""


def collect(
    store: Store, inventory: Inventory, protection: Protection, limit: int, dry_run: bool
) -> Collected:
    """Evict what was not used for longest until the store takes `limit` bytes.

    What is protected stays, and so does what is being made. The caller holds the store's
    collection.
    """
    left, chosen = inventory.total, list[Entry]()
    waiting = [e for e in inventory.entries.values() if e.state != "damaged" and e.freeable]
    waiting.sort(key=lambda entry: (entry.freeable < _WORTHWHILE, entry.used))
    progress = True
    while left > limit and progress:
        progress = False
        for entry in list(waiting):
            if left <= limit:
                break
            if protection.reasons(entry.key):
                continue
            waiting.remove(entry)
            if dry_run or _evict(store, entry):
                left -= entry.freeable
                chosen.append(entry)
                protection.evicted(entry.key)
                progress = True
    return Collected(chosen, inventory.total - left, left)


def _evict(store: Store, entry: Entry) -> bool:
    """Evict an artifact unless another process is making it."""
    lease = store.lease(entry.key)
    if not lease.acquire_at_once():
        return False
    with lease:
        evict(store.place(entry.key), entry.manifest)
    return True


def evict_one(
    store: Store, inventory: Inventory, protection: Protection, key: str, dry_run: bool
) -> int:
    """Evict an artifact, or delete a damaged one; return the bytes that were freed.

    Raises StormError if it must stay.
    """
    entry = inventory.entries[key]
    reasons = protection.reasons(key)
    if reasons:
        raise StormError(f"{key[:12]} ({entry.manifest.component}) stays: {'; '.join(reasons)}")
    if entry.state == "damaged":
        if not dry_run:
            shutil.rmtree(store.set_aside(key))
        return entry.size
    if not dry_run and not _evict(store, entry):
        raise StormError(f"{key[:12]} is being made by another process")
    return entry.freeable


def remove_leftover(store: Store, leftover: Leftover) -> int:
    """Delete something left over; return its bytes, or 0 if a process is at work in it."""
    lease = store.lease(leftover.key or leftover.path.name)
    if not lease.acquire_at_once():
        return 0
    with lease:
        if leftover.path.name.startswith(".evicted-") and not store.place(leftover.key).exists():
            leftover.path.rename(store.place(leftover.key))  # its successor was not published
        elif leftover.path.is_dir():
            shutil.rmtree(leftover.path, ignore_errors=True)
        else:
            leftover.path.unlink(missing_ok=True)
    return leftover.size
