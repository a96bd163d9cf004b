"""The process that shows a run in a tracker: `python -m storm_trackers.follower RUN`.

It is a process of its own, so that a tracker which hangs, crashes or fills the memory costs the run
nothing. It reads what the run writes into its folder, until its standard input ends, which is when
the run has ended or was killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from storm_exp import StormError
from storm_exp.report import RunRecord
from storm_trackers.services.opening import open_service
from storm_trackers.telling import Telling

FOLDER, STAGES, OUTCOME = "tracker", "stages.jsonl", "tracker.json"
"""In the run's folder: the folder of what is exchanged with the run, and two of its files."""
_POLL_SECONDS = 1.0


def main(folder: Path) -> int:
    """Follow the run in a folder to its end; return 0, or 1 after writing what went wrong."""
    exchange = folder / FOLDER
    run = RunRecord.read(exchange)
    run.directory = folder
    section = run.cells[0].config["tracker"]
    where = ""
    try:
        service = open_service(section["kind"], section["project"], run)
        where = service.where
        _write(exchange, where=where)
        telling = Telling(service, run)
        heard = 0
        while not _ended():
            telling.look()
            heard = _hear(telling, exchange / STAGES, heard)
        _end_soon(section["patience_seconds"])
        _hear(telling, exchange / STAGES, heard)
        telling.end(_outcome(folder, run))
    except Exception as error:  # trackers raise anything
        traceback.print_exc()
        _write(exchange, where=where, problem=f"{type(error).__name__}: {error}")
        return 1
    _write(exchange, where=where, complete=True)
    return 0


def _ended() -> bool:
    """Return whether the run has ended, after a moment of waiting."""
    return bool(select.select([0], [], [], _POLL_SECONDS)[0])


def _end_soon(seconds: float) -> None:
    """Have this process and its children killed if they take longer; the run may be gone."""
    timer = threading.Timer(2 * seconds, os.killpg, (os.getpgrp(), signal.SIGKILL))
    timer.daemon = True
    timer.start()


def _hear(telling: Telling, file: Path, heard: int) -> int:
    """Tell of the stages in the lines of a file after `heard`; return how many lines there are."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    lines = text[: text.rfind("\n") + 1].splitlines()
    for line in lines[heard:]:
        telling.hear(json.loads(line))
    return len(lines)


def _outcome(folder: Path, run: RunRecord) -> RunRecord:
    """Return the record of the finished run; that of its beginning if it was killed."""
    try:
        return RunRecord.read(folder)
    except StormError:
        return run


def _write(exchange: Path, **outcome: Any) -> None:
    (exchange / OUTCOME).write_text(json.dumps(outcome) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
