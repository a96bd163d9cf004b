"""What a store contains: its artifacts listed, shown and verified."""

from __future__ import annotations

import json

from storm_exp import Store, StormError, align
from storm_report.counted import counted
from storm_report.store.described import describe_manifest
from storm_report.words import Words


def ls(store: Store, words: Words) -> int:
    """List the artifacts, the oldest first."""
    rows = [["key", "component", "artifact", "megabytes", "made", "main metric"]]
    values = []
    for manifest in sorted(store.manifests(), key=lambda m: str(m.made.get("when", ""))):
        own = manifest.files.keys() - manifest.adopted_mtimes.keys()
        size = sum(manifest.files[name][0] for name in own)
        main = manifest.main_metric
        metric = f"{main} {manifest.metrics[main]:.4g}" if main in manifest.metrics else ""
        when = str(manifest.made.get("when", ""))[:16].replace("T", " ")
        names = [manifest.key[:12], manifest.component, manifest.artifact]
        rows.append([*names, f"{size / 1e6:.1f}", when, metric])
        values.append(describe_manifest(manifest) | {"bytes": size, "made": when})
    return words.answer(values, align(rows))


def show(store: Store, words: Words) -> int:
    """Show where artifacts are, and their manifests."""
    if not words.names:
        raise StormError("store show KEY: give the first digits of a key (see store ls)")
    items, lines = [], []
    for prefix in words.names:
        key = store.resolve(prefix)
        found, place = store.find(key), str(store.place(key))
        manifest = found.manifest or found.evicted
        values = manifest.to_json() if manifest else found.damage
        items.append({"directory": place, "evicted": bool(found.evicted), "manifest": values})
        lines.append(f"{place}{' (evicted)' if found.evicted else ''}")
        lines.append(json.dumps(values, indent=1))
    return words.answer(items, lines)


def verify(store: Store, words: Words) -> int:
    """Hash the files of artifacts again; 1 if one is damaged."""
    keys = [store.resolve(prefix) for prefix in words.names]
    strays = [] if keys else store.strays()
    keys = keys or store.keys()
    evicted = [key for key in keys if store.find(key).evicted]
    problems = {key: p for key in keys if key not in evicted and (p := store.verify(key))}
    lines = [f"{key[:12]}  damaged: {problem}" for key, problem in problems.items()]
    for stray in strays:
        unfinished = " (unfinished, from a run in progress or a failed one)"
        lines.append(f"{stray}: no artifact" + unfinished * stray.name.startswith(".partial-"))
    gone = f", {len(evicted)} evicted" if evicted else ""
    lines.append(f"{counted(len(keys), 'artifact')}, {len(problems)} damaged{gone}")
    items = [
        {"key": key, "evicted": key in evicted, "problem": problems.get(key, "")} for key in keys
    ]
    error = f"damaged: {', '.join(key[:12] for key in problems)}" if problems else ""
    return words.answer(items, lines, error=error)
