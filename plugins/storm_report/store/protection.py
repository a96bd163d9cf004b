"""Why an artifact is kept: pins, runs that go on, and what other artifacts read."""

from __future__ import annotations

from collections.abc import Sequence

from storm_exp import Store
from storm_report.store.claims import Claim
from storm_report.store.inventory import Inventory
from storm_report.store.pins import read_pins


class Protection:
    """Which artifacts of an inventory must not be evicted."""

    def __init__(self, inventory: Inventory, store: Store, claims: Sequence[Claim]) -> None:
        """Take into account the pins of the store and the claims of runs that go on."""
        self._inventory = inventory
        self._roots: dict[str, list[str]] = {}
        for pin in read_pins(store):
            self._add(pin.keys, f"pinned: {pin.name}")
        for claim in claims:
            self._add(claim.keys, f"needed by a run that goes on: {claim.run.name}")
        self._readers: dict[str, set[str]] = {}
        for entry in inventory.entries.values():
            for key in entry.reads if entry.state == "kept" else ():
                self._readers.setdefault(key, set()).add(entry.key)

    def _add(self, keys: Sequence[str], reason: str) -> None:
        for key in self._inventory.with_reads(self._inventory.with_memos(keys)):
            self._roots.setdefault(key, []).append(reason)

    def reasons(self, key: str) -> list[str]:
        """Return why an artifact must not be evicted; empty if it may."""
        readers = [self._inventory.entries[reader] for reader in self._readers.get(key, ())]
        return [
            *self._roots.get(key, ()),
            *(f"read by {e.key[:12]} ({e.manifest.component}), which is kept" for e in readers),
        ]

    def evicted(self, key: str) -> None:
        """Take into account that an artifact was evicted: what it read is needed less."""
        for readers in self._readers.values():
            readers.discard(key)
