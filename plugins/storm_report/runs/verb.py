"""The verb `runs`."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storm_exp import Store, StormError, align
from storm_exp.report import StageRecord
from storm_report.run_folders import Run, find_run, read_runs, when, with_words
from storm_report.run_table import stage_rows, sweep_table
from storm_report.store.claims import collection
from storm_report.store.pins import read_pins
from storm_report.whereabouts import whereabouts
from storm_report.words import Words, read_words


def runs(arguments: list[str]) -> int:
    """List, show or remove runs.

    usage: storm-exp runs [ls [WORD …] | show [RUN] | rm RUN …] [--json] [outputs=DIR]

    ls lists the runs of which each WORD is a name, a tag, or a part of the folder's name, such as
    a date. show says what a run did and where its models are; by default, the latest. rm removes
    the folder of a run; its artifacts stay in the store. RUN is `latest`, a name, a folder, or a
    part of a folder's name.

    for example:
        storm-exp runs ls
        storm-exp runs show latest
    """
    words = read_words("runs", arguments, dict.fromkeys(ACTIONS, ()), "ls")
    return ACTIONS[words.action](words)


def _ls(words: Words) -> int:
    found = with_words(read_runs(words.outputs), words.names)
    pinned = {pin.name for pin in read_pins(Store(words.store))}
    rows = [["run", "name", "tags", "recipe", "began", "seconds", "status", "made", "cells", ""]]
    values: list[dict[str, Any]] = []
    for run in found:
        pin = "pinned" if run.folder.name in pinned else ""
        record = run.record
        if record is None:
            rows.append([run.folder.name, "", "", "", when(run), "", run.problem, "", "", pin])
            values.append({"run": run.folder.name, "problem": run.problem})
            continue
        made = sum(stage.status == "made" for stage in record.stages())
        status = record.status + (" (rehearsal)" if record.rehearsal else "")
        figures = [f"{record.seconds:.0f}", status, str(made), str(len(record.cells))]
        named = [run.folder.name, record.name, ",".join(record.tags), record.recipe]
        rows.append([*named, when(run), *figures, pin])
        values.append(
            {
                "run": run.folder.name,
                "name": record.name,
                "tags": record.tags,
                "recipe": record.recipe,
                "when": record.when,
                "seconds": record.seconds,
                "status": record.status,
                "made": made,
                "cells": len(record.cells),
                "pinned": bool(pin),
            }
        )
    what = f" with {' and '.join(words.names)}" if words.names else ""
    none = [f"no run{what} in {words.outputs} (outputs=DIR gives another folder)"]
    return words.answer(values, align(rows) if found else none)


def _show(words: Words) -> int:
    items: list[dict[str, Any]] = []
    lines: list[str] = []
    for name in words.names or ["latest"]:
        run = find_run(words.outputs, name)
        if run.record is None:
            raise StormError(f"{run.folder}: {run.problem}")
        items.append(dataclasses.asdict(run.record) | {"directory": str(run.folder)})
        lines += [*([""] if lines else []), *_described(run)]
    return words.answer(items, lines)


def _described(run: Run) -> list[str]:
    """Return lines about a run: what was asked for, what came of it, and where it is."""
    record = run.record
    assert record is not None
    if record.is_sweep:
        header, rows = sweep_table(record)
    else:
        header, *rows = stage_rows(record)
    facts = [
        ["run", os.path.relpath(run.folder)],
        ["name", record.name],
        ["tags", ", ".join(record.tags)],
        ["recipe", record.recipe],
        ["status", f"{record.status} after {record.seconds:.0f} s, began {when(run)}"],
        ["command", shlex.join(record.argv)],
    ]
    lines = [f"{name:<8} {text}" for name, text in facts if text]
    gone = [stage for stage in record.stages() if stage.directory and _is_gone(stage)]
    if gone:
        labels = ", ".join(stage.label for stage in gone)
        targets = ",".join(dict.fromkeys(stage.stage for stage in gone))
        lines.append(f"gone     {labels}: evicted or deleted; made again with targets=[{targets}]")
    report = run.folder / "report.html"
    if report.is_file():
        lines.append(f"report   {os.path.relpath(report)}")
    return [*lines, *whereabouts(record), "", *align([header, *rows])]


def _is_gone(stage: StageRecord) -> bool:
    """Return whether the store has no intact artifact any more."""
    place = Path(stage.directory)
    if place.name != stage.key:  # its files are outside the store
        return not place.is_dir()
    return Store(place.parents[2]).find(stage.key).manifest is None


def _rm(words: Words) -> int:
    if not words.names:
        raise StormError("runs rm RUN: give the name of a run (see runs ls)")
    chosen = [find_run(words.outputs, name) for name in words.names]
    store = Store(words.store)
    pinned = {pin.run for pin in read_pins(store)}
    busy: set[Path] = set()
    if store.root.is_dir():
        with collection(store) as claims:
            busy = {claim.run for claim in claims}
    for run in chosen:
        if run.folder in busy:
            raise StormError(f"{run.folder.name} goes on")
        if str(run.folder) in pinned:
            raise StormError(
                f"{run.folder.name} is pinned: storm-exp store unpin {run.folder.name}"
            )
    for run in chosen:
        shutil.rmtree(run.folder)
    _mend_latest(words.outputs)
    names = [run.folder.name for run in chosen]
    lines = [f"removed {name}" for name in names]
    return words.answer([{"removed": name} for name in names], lines)


def _mend_latest(outputs: Path) -> None:
    """Make `latest` lead to the latest run that is left, if it leads nowhere."""
    latest = outputs / "latest"
    if latest.is_symlink() and not latest.exists():
        latest.unlink()
        left = [run.folder for run in read_runs(outputs) if run.record is not None]
        if left:
            latest.symlink_to(os.path.relpath(left[-1], outputs.resolve()))


ACTIONS: dict[str, Callable[[Words], int]] = {"ls": _ls, "show": _show, "rm": _rm}
