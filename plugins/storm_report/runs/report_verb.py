"""The verb `report`."""

from __future__ import annotations

from pathlib import Path

from storm_exp import Answer, StormError, did_you_mean, load_plugins
from storm_exp.report import RunRecord, write_report
from storm_report.run_folders import find_run
from storm_report.words import JSON_FLAG, OUTPUTS


def report(arguments: list[str]) -> int:
    """Write the report of a run again; by default, of the latest.

    usage: storm-exp report [RUN] [--json] [outputs=DIR]

    RUN is `latest`, a name, a folder, or a part of a folder's name.

    for example:
        storm-exp report
        storm-exp report outputs/latest
    """
    outputs, names = Path("outputs"), []
    for word in arguments:
        name, equals, value = word.partition("=")
        if name == OUTPUTS and equals:
            outputs = Path(value).expanduser()
        elif word.startswith("-") and word != JSON_FLAG:
            raise StormError(f"report {word}: no such flag{did_you_mean(word, [JSON_FLAG])}")
        elif word != JSON_FLAG:
            names.append(word)
    if len(names) > 1:
        raise StormError(f"report {' '.join(names)}: give one run")
    folder = run_folder(outputs, names[0] if names else "latest")
    file = write_report(RunRecord.read(folder), load_plugins())
    item = {"run": str(folder), "report": str(file or "")}
    return Answer("report", [item], [str(file or "no plugin writes reports")]).print(arguments)


def run_folder(outputs: Path, word: str) -> Path:
    """Return the folder that a word names: itself a folder, or as in `find_run`."""
    path = Path(word).expanduser()
    return path.resolve() if path.is_dir() else find_run(outputs, word).folder
