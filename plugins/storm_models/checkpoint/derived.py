"""Artifacts that follow from others and that no stage stands for: made once, kept in their store.

A merge's weights, written out, are one; the angles between two checkpoints another.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_exp import Progress, value_digest
from storm_exp._plan.outside import compare, look_at_adopted
from storm_exp._store.manifest import Manifest
from storm_exp._store.store import Found, Store

if TYPE_CHECKING:
    from storm_exp._store.lease import Lease


def store_of(directory: Path) -> Store | None:
    """Return the store that holds an artifact, or in which it is being made, None outside any."""
    place = Path(directory).resolve()
    inside = len(place.parents) > 2 and place.parents[1].name == "artifacts"
    return Store(place.parents[2]) if inside else None


def derive(
    store: Store, name: str, version: int, inputs: Mapping[str, Any], fill: Callable[[Path], None]
) -> Path:
    """Return the payload of what is called `name` and follows from `inputs`; make it if need be.

    `inputs` are the keys of artifacts in JSON, the version is raised when `fill` gives another
    result. Of all processes of a store one fills the folder, under a lease; the others wait. A
    folder that was being filled when its process died is made again. Raises what `fill` raises, and
    InputError when a file outside the store that an input consists of was written meanwhile.
    """
    key = value_digest({"derived": name, "version": version, "inputs": inputs})
    parents = re.findall("[0-9a-f]{64}", json.dumps(inputs))

    def tell(owner: str) -> None:
        Progress.write(f"  waiting for {owner}, who is making: {name}")

    def make(_: Lease, found: Found) -> None:
        if found.damage:
            aside = store.set_aside(key)
            Progress.write(f"  {name}: {found.damage}; it was moved to {aside} and is made again")
        started = time.monotonic()
        before = look_at_adopted(parents, store)
        partial = store.open_partial(key)
        try:
            fill(partial)
            manifest = Manifest(
                key=key,
                component=name,
                version=version,
                artifact="Artifact",
                settings={},
                inputs=dict(inputs),
                fingerprint=None,
                spec={},
                metrics={},
                main_metric="",
                files={},
                made={
                    "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                    "seconds": round(time.monotonic() - started, 3),
                },
            )
            store.publish(
                partial,
                manifest,
                confirm=lambda: compare(before, look_at_adopted(parents, store)),
            )
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    if store.find(key).manifest is None:
        store.make_once(key, tell, make)
    return store.place(key)
