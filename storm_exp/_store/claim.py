"""Claims: while a run goes on, none of the artifacts that it needs is evicted.

A claim is a file that names the run and the keys, with a lease that shows whether the run is alive.
Whoever evicts holds the lease `COLLECTION` and looks at the claims.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from storm_exp._contract.progress import Progress
from storm_exp._store.store import Store

COLLECTION = "collection"
"""Key of the lease under which artifacts are evicted, by one process at a time."""


@contextmanager
def claim(store: Store, run: Path, keys: Sequence[str]) -> Iterator[None]:
    """Keep artifacts from being evicted, those that exist and those to be made.

    Whatever was evicted before is known on entry: a collection in progress is waited for. Where
    the store cannot be written, nobody can evict, and nothing is claimed.
    """
    name = f"claim.{secrets.token_hex(8)}"
    file = store.claims / f"{name}.json"
    with ExitStack() as stack:
        with suppress(OSError):
            lease = store.lease(name)
            lease.acquire_at_once()
            stack.enter_context(lease)
            stack.callback(file.unlink, missing_ok=True)
            file.parent.mkdir(exist_ok=True)
            draft = store.claims / f"{name}.partial"
            draft.write_text(json.dumps({"run": str(run), "keys": list(keys)}), encoding="utf-8")
            draft.replace(file)
            if store.lease_file(COLLECTION).exists():
                collection = store.lease(COLLECTION)
                collection.acquire(lambda: False, _tell)
                collection.release()
        yield


def _tell(owner: str) -> None:
    Progress.write(f"waiting for {owner}, which frees space in the store")
