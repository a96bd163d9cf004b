"""Pins: runs and artifacts that are never evicted, each in a small file of the store."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from storm_exp import Store, StoreError, StormError, did_you_mean

_FOLDER = "pins"


@dataclass
class Pin:
    """Something that is never evicted."""

    name: str
    """Name of the run's folder, or the first digits of an artifact's key."""
    keys: list[str]
    labels: list[str]
    """What each key is in the run, such as `merger`."""
    run: str = ""
    """Folder of the run; empty for an artifact."""
    when: str = ""


def read_pins(store: Store) -> list[Pin]:
    """Return all pins; raises StoreError for a damaged one, as nothing may be removed then."""
    pins = []
    for file in sorted((store.root / _FOLDER).glob("*.json")):
        try:
            pin = Pin(**json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"{file} is damaged, so what is pinned is not known: nothing is removed; delete "
                "the file and pin the run again"
            ) from error
        pins.append(pin)
    return pins


def add_pin(store: Store, pin: Pin) -> None:
    """Pin something; a pin of the same name is replaced."""
    folder = store.root / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{pin.name}.partial"
    pin.when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    draft.write_text(json.dumps(asdict(pin), indent=1), encoding="utf-8")
    draft.replace(folder / f"{pin.name}.json")


def remove_pin(store: Store, name: str) -> None:
    """Remove a pin; raises StormError if there is none of this name."""
    pins = {pin.name for pin in read_pins(store)}
    found = [pin for pin in pins if pin == name] or [pin for pin in pins if name in pin]
    if len(found) != 1:
        many = f": {len(found)} pins are named so" if found else did_you_mean(name, pins)
        raise StormError(f"'{name}' is not pinned{many} (storm-exp store pin lists the pins)")
    Path(store.root / _FOLDER / f"{found[0]}.json").unlink(missing_ok=True)
