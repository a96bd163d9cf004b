"""What may stand behind the verbs about runs and their store."""

from __future__ import annotations

from pathlib import Path

from storm_report.run_folders import read_runs

_OUTPUTS = Path("outputs")


def run_names(words: list[str]) -> list[str]:
    """Return `latest`, the names of runs, and the folders of those that have none."""
    runs = read_runs(_OUTPUTS)
    names = [run.record.name if run.record and run.record.name else run.folder.name for run in runs]
    return ["latest", *names] if names else []


def behind_runs(words: list[str]) -> list[str]:
    """Return what may stand behind `runs`: an action, then a run."""
    from storm_report.runs.verb import ACTIONS

    return run_names(words) if words else list(ACTIONS)


def behind_store(words: list[str]) -> list[str]:
    """Return what may stand behind `store`: an action, then what it takes."""
    from storm_report.store.inventory import KINDS
    from storm_report.store.verb import ACTIONS

    if not words:
        return list(ACTIONS)
    if words[0] == "rm":
        return list(KINDS)
    return run_names(words) if words[0] in ("pin", "unpin", "why-kept") else []
