"""The runs in a folder of outputs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from storm_exp import StormError, did_you_mean
from storm_exp.report import RunRecord


@dataclass
class Run:
    """The folder of a run, with its record where it has one."""

    folder: Path
    record: RunRecord | None
    problem: str = ""
    """Why there is no record."""

    @property
    def names(self) -> list[str]:
        """Everything that it is called: its folder, the name that the user gave, its tags."""
        record = self.record
        given = [record.name, record.recipe, *record.tags] if record is not None else []
        return [self.folder.name, *filter(None, given)]

    def artifacts(self) -> dict[str, str]:
        """Return the artifacts that it has: the label of each key."""
        record = self.record
        stages = [] if record is None else [s for s in record.stages() if s.directory]
        return {stage.key: stage.label for stage in stages}


def read_runs(outputs: Path) -> list[Run]:
    """Return all runs, the oldest first."""
    folders = (path for path in (outputs / "runs").resolve().glob("*") if path.is_dir())
    return [_read(folder) for folder in sorted(folders)]


def _read(folder: Path) -> Run:
    if not (folder / "run.json").is_file():
        return Run(folder, None, "no record: it goes on, or it was killed")
    try:
        return Run(folder, RunRecord.read(folder))
    except StormError as error:
        return Run(folder, None, str(error))


def find_run(outputs: Path, word: str) -> Run:
    """Return the run of a word: a folder, `latest`, a `name=`, or a part of a folder's name.

    Of several runs with the same `name=`, it is the latest. Raises StormError for no run, or for
    several whose folders have the part.
    """
    latest = outputs / "latest"
    if word == "latest" and not latest.is_dir():
        raise StormError(f"there is no run in {outputs} (give another folder with outputs=DIR)")
    path = latest if word == "latest" else Path(word).expanduser()
    if path.is_dir() and path.resolve().parent.name == "runs":
        return _read(path.resolve())
    runs = read_runs(outputs)
    for candidates in (
        [run for run in runs if run.folder.name == word],
        [run for run in runs if run.record is not None and run.record.name == word][-1:],
        [run for run in runs if word and word in run.folder.name],
    ):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            shown = ", ".join(run.folder.name for run in candidates[-3:])
            raise StormError(f"{len(candidates)} runs have '{word}' in their names: {shown}")
    known = {name for run in runs for name in run.names}
    raise StormError(f"no run '{word}' in {outputs}{did_you_mean(word, known)} (see runs ls)")


def with_words(runs: list[Run], words: list[str]) -> list[Run]:
    """Return the runs of which each word is a tag, a name, or a part of the folder's name."""
    return [
        run for run in runs if all(word in run.names or word in run.folder.name for word in words)
    ]


def when(run: Run) -> str:
    """Return when a run began, to the minute."""
    if run.record is not None:
        return run.record.when[:16].replace("T", " ")
    match = re.match(r"(\d{4}-\d\d-\d\d)_(\d\d)-(\d\d)", run.folder.name)
    return f"{match[1]} {match[2]}:{match[3]}" if match else ""
