"""What is kept: pins, and the reasons why an artifact is not evicted."""

from __future__ import annotations

from contextlib import suppress

from storm_exp import Store, StormError, align
from storm_report.run_folders import find_run
from storm_report.store.claims import collection
from storm_report.store.described import users_of
from storm_report.store.inventory import take_inventory
from storm_report.store.pins import Pin, add_pin, read_pins, remove_pin
from storm_report.store.protection import Protection
from storm_report.store.sizes import shown_size
from storm_report.words import Words


def pin(store: Store, words: Words) -> int:
    """Pin runs and artifacts; list all pins."""
    for name in words.names:
        add_pin(store, _new_pin(store, words, name))
    values, rows = [], [["pin", "artifacts", "size", "not in the store"]]
    for each in read_pins(store):
        inventory = take_inventory(store)
        held = inventory.with_reads(inventory.with_memos(each.keys))
        size = sum(inventory.entries[key].size for key in held if key in inventory.entries)
        there = {key for key in each.keys if store.find(key).manifest}
        gone = [x for k, x in zip(each.keys, each.labels, strict=True) if k not in there]
        rows.append([each.name, str(len(there)), shown_size(size), ", ".join(gone)])
        values.append({"name": each.name, "keys": each.keys, "bytes": size, "missing": gone})
    lines = align(rows) if values else ["nothing is pinned"]
    return words.answer(values, lines)


def _new_pin(store: Store, words: Words, name: str) -> Pin:
    """Return the pin of a run, or of an artifact where no run has this name."""
    try:
        run = find_run(words.outputs, name)
    except StormError as no_run:
        try:
            key = store.resolve(name)
        except StormError:
            raise no_run from None
        manifest = store.find(key).manifest
        return Pin(key[:12], [key], [manifest.component if manifest else key[:12]])
    keys = run.artifacts()
    if not any(store.place(key).exists() for key in keys):
        raise StormError(
            f"nothing of {run.folder.name} is in the store at {store.root}"
            f"{f' ({run.problem})' if run.problem else ''}: give its store with store.path=DIR"
        )
    return Pin(run.folder.name, list(keys), list(keys.values()), str(run.folder))


def unpin(store: Store, words: Words) -> int:
    """Remove pins."""
    if not words.names:
        raise StormError("store unpin NAME: give the name of a pin (see store pin)")
    for name in words.names:
        pinned = {each.name for each in read_pins(store)}
        with suppress(StormError):
            name = name if name in pinned else find_run(words.outputs, name).folder.name
        remove_pin(store, name)
    lines = [f"unpinned {name}" for name in words.names]
    return words.answer([{"name": n} for n in words.names], lines)


def why_kept(store: Store, words: Words) -> int:
    """Say what keeps artifacts from being evicted."""
    if not words.names:
        raise StormError("store why-kept KEY: give the first digits of a key, or a run")
    with collection(store) as claims:
        inventory = take_inventory(store)
        protection = Protection(inventory, store, claims)
    users = users_of(words.outputs)
    values, lines = [], []
    for key in dict.fromkeys(key for name in words.names for key in _named(store, words, name)):
        entry = inventory.entries.get(key)
        reasons = protection.reasons(key)
        used = users.get(key, [])
        state = entry.state if entry is not None else "not in the store"
        component = entry.manifest.component if entry is not None else ""
        said = reasons or [f"nothing keeps it: the last use was {entry.used_text}" if entry else ""]
        if entry is not None and entry.state != "kept":
            said = [f"{entry.state}{f': {entry.damage}' if entry.damage else ''}"]
        lines.append(f"{key[:12]} {component}: {'; '.join(filter(None, said)) or state}")
        if used:
            lines.append(f"  used by {', '.join(used)}")
        values.append({"key": key, "state": state, "reasons": reasons, "runs": used})
    return words.answer(values, lines)


def _named(store: Store, words: Words, name: str) -> list[str]:
    """Return the keys that a key's first digits, or a run, stand for."""
    try:
        return [store.resolve(name)]
    except StormError:
        return list(find_run(words.outputs, name).artifacts())
