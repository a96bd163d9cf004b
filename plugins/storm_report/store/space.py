"""The room that a store takes: measured, and freed."""

from __future__ import annotations

from storm_exp import Store, StormError, align
from storm_report.store.claims import collection
from storm_report.store.collecting import collect, evict_one, remove_leftover
from storm_report.store.described import describe_entry, users_of
from storm_report.store.inventory import KINDS, Entry, Inventory, take_inventory
from storm_report.store.pins import read_pins
from storm_report.store.protection import Protection
from storm_report.store.sizes import read_size, shown_size
from storm_report.words import Words


def du(store: Store, words: Words) -> int:
    """Show the sizes of everything, the largest first, with the runs that use it."""
    inventory = take_inventory(store)
    users = users_of(words.outputs)
    pinned = {key for pin in read_pins(store) for key in pin.keys}
    entries = sorted(inventory.entries.values(), key=lambda entry: -entry.size)
    rows = [["key", "component", "artifact", "size", "", "last use", "runs"]]
    for entry in entries:
        state = "pinned" if entry.key in pinned else "" if entry.state == "kept" else entry.state
        used = users.get(entry.key, [])
        runs = f"{len(used)}: {used[-1]}" if used else ""
        names = [entry.key[:12], entry.manifest.component, entry.manifest.artifact]
        rows.append([*names, shown_size(entry.size), state, entry.used_text, runs])
    lines = [*align(rows), "", *align(_totals(inventory))]
    items = [describe_entry(e, users.get(e.key, []), e.key in pinned) for e in entries]
    items += [
        {"state": each.kind, "path": str(each.path), "key": each.key, "bytes": each.size}
        for each in inventory.leftovers
    ]
    return words.answer(items, lines)


def _totals(inventory: Inventory) -> list[list[str]]:
    """Return rows with the size of each kind of thing in a store."""
    kinds: dict[str, list[int]] = {}
    for entry in inventory.entries.values():
        memo = "memos" if entry.manifest.artifact == "memo" else "artifacts"
        kind = memo if entry.state == "kept" else f"{entry.state} {memo}"
        kinds.setdefault(kind, []).append(entry.size)
    for each in inventory.leftovers:
        kinds.setdefault(f"{each.kind} (store rm {each.kind})", []).append(each.size)
    rows = [[kind, str(len(sizes)), shown_size(sum(sizes))] for kind, sizes in kinds.items()]
    return [*rows, ["in all", "", shown_size(inventory.total)]]


def gc(store: Store, words: Words) -> int:
    """Evict what was not used for longest down to a size; 1 if the store remains larger."""
    dry_run = "--dry-run" in words.flags
    limit = read_size(words.values["--to"]) if "--to" in words.values else None
    with collection(store) as claims:
        inventory = take_inventory(store)
        busy = {key for claim in claims for key in claim.keys}
        lost = [
            each
            for each in inventory.leftovers
            if each.key not in busy
            and (
                each.kind == "unfinished"
                or (each.kind == "scratch" and store.find(each.key).manifest)
            )
        ]
        freed = sum(each.size if dry_run else remove_leftover(store, each) for each in lost)
        rows = [["key", "component", "size", "last use"]]
        chosen: list[Entry] = []
        left = inventory.total - freed
        protection = Protection(inventory, store, claims)
        if limit is not None:
            collected = collect(store, inventory, protection, limit + freed, dry_run)
            chosen, left = collected.entries, collected.left - freed
        stays = [e for e in inventory.entries.values() if protection.reasons(e.key)]
    for entry in chosen:
        names = [entry.key[:12], entry.manifest.component]
        rows.append([*names, shown_size(entry.freeable), entry.used_text])
    total = inventory.total - left
    verb = "would free" if dry_run else "freed"
    lines = align(rows) if chosen else []
    notes = [f"{verb} {shown_size(total)}; the store takes {shown_size(left)}"]
    missed = limit is not None and left > limit
    error = _what_is_left(inventory, stays) if missed else ""
    items = [describe_entry(entry, [], False) for entry in chosen]
    return words.answer(items, lines, notes, error)


def _what_is_left(inventory: Inventory, stays: list[Entry]) -> str:
    """Return why a store is larger than was asked for."""
    held = sum(entry.freeable for entry in stays)
    parts = [f"{shown_size(held)} stay (store why-kept KEY tells why)"] if held else []
    for kind in KINDS:
        size = sum(each.size for each in inventory.leftovers if each.kind == kind)
        if size and kind != "unfinished":
            parts.append(f"{kind} takes {shown_size(size)} (store rm {kind})")
    return "that is more than was asked for: " + ("; ".join(parts) or "manifests and figures stay")


def rm(store: Store, words: Words) -> int:
    """Evict artifacts, or remove what is left over of some kind."""
    if not words.names:
        raise StormError(f"store rm: give the first digits of keys, or {', '.join(KINDS)}")
    dry_run = "--dry-run" in words.flags
    with collection(store) as claims:
        inventory = take_inventory(store)
        busy = {key for claim in claims for key in claim.keys}
        protection = Protection(inventory, store, claims)
        kinds = [name for name in words.names if name in KINDS]
        keys = [_key_of(store, name) for name in words.names if name not in KINDS]
        freed = 0
        for key in keys:
            freed += evict_one(store, inventory, protection, key, dry_run)
            protection.evicted(key)
        chosen = [each for each in inventory.leftovers if each.kind in kinds]
        free = [each for each in chosen if each.key not in busy]
        freed += sum(each.size if dry_run else remove_leftover(store, each) for each in free)
    notes = [f"{'would free' if dry_run else 'freed'} {shown_size(freed)}"]
    if len(free) < len(chosen):
        notes.append(f"{len(chosen) - len(free)} stay: a run that goes on needs them")
    items = [{"removed": key} for key in keys] + [{"removed": str(each.path)} for each in free]
    return words.answer(items, [], notes)


def _key_of(store: Store, prefix: str) -> str:
    key = store.resolve(prefix)
    if store.find(key).evicted:
        raise StormError(f"{key[:12]} is evicted already: only its manifest and figures are left")
    return key
