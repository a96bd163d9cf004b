"""Claims of runs that go on, and the lease under which a store is collected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from storm_exp import COLLECTION, Progress, Store, StoreError

_DEAD_SECONDS = 600.0
"""Time without a heartbeat after which a run on another host, which cannot be asked, is dead."""


@dataclass
class Claim:
    """The artifacts that a run needs while it goes on."""

    run: Path
    keys: list[str]


@contextmanager
def collection(store: Store) -> Iterator[list[Claim]]:
    """Let nobody else evict artifacts, and no run begin; yield the claims of those that go on.

    Raises StoreError if the store cannot be written to, or if a claim cannot be read.
    """
    store.prepare()
    lease = store.lease(COLLECTION)
    lease.acquire(lambda: False, lambda who: Progress.write(f"waiting for {who}: store gc"))
    with lease:
        yield list(_living(store))


def _living(store: Store) -> Iterator[Claim]:
    """Yield the claims of runs that go on; delete those of runs that died."""
    now = store.lease_file(COLLECTION).stat().st_mtime  # by the clock of the file system
    for file in sorted(store.claims.glob("*.json")):
        lease = store.lease(file.stem)
        with suppress(FileNotFoundError):  # the run has just ended
            dead = lease.acquire_at_once()
            if dead or now - store.lease_file(file.stem).stat().st_mtime > _DEAD_SECONDS:
                file.unlink(missing_ok=True)
                lease.release()
            else:
                yield _read(file)


def _read(file: Path) -> Claim:
    text = file.read_text(encoding="utf-8")
    try:
        values = json.loads(text)
        return Claim(Path(values["run"]).resolve(), [str(key) for key in values["keys"]])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{file} is damaged, so what a run needs that goes on is not known: nothing is "
            "removed; delete the file if no run goes on"
        ) from error
