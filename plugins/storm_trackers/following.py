"""The run's side of a tracker: starts the follower, writes for it, and never waits for long."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from storm_exp import Manifest, Progress
from storm_exp.report import RunRecord
from storm_trackers.follower import FOLDER, OUTCOME, STAGES

_LONGEST_PROBLEM = 300
_FOLLOWERS: dict[Path, Follower] = {}
"""Followers of the runs in progress, by the run's folder."""


class Follower:
    """The process that shows a run in a tracker."""

    def __init__(self, run: RunRecord) -> None:
        """Start the process; raises OSError."""
        self._run, self._section = run, run.cells[0].config["tracker"]
        self._exchange = run.directory / FOLDER
        self._exchange.mkdir(exist_ok=True)
        dataclasses.replace(run, directory=self._exchange, status="running").write()
        with (self._exchange / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "storm_trackers.follower", str(run.directory)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the run
            )
        self._is_lost = False

    def note_stage(self, manifest: Manifest) -> None:
        """Write what a stage measured, for the follower to read."""
        told: dict[str, Any] = {
            "key": manifest.key,
            "digest": manifest.digest(),
            "metrics": manifest.metrics,
            "main_metric": manifest.main_metric,
            "shown_metrics": manifest.shown_metrics,
            "seconds": manifest.made.get("seconds"),
            "peak_memory": manifest.made.get("peak_memory"),
        }
        with (self._exchange / STAGES).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(told) + "\n")
        if self._process.poll() is not None:
            self._lose()

    def finish(self) -> None:
        """Say where the run is shown, or that the tracker failed or was too slow."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        seconds = self._section["patience_seconds"]
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._lose(f"did not finish in {seconds:g} s (tracker.patience_seconds)")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.returncode:
            self._lose()
        elif not self._is_lost:
            Progress.write(f"tracker  {self._section['kind']}: {self._read()['where']}")

    def _lose(self, problem: str = "") -> None:
        """Warn once, on the screen and in the run's record."""
        if self._is_lost:
            return
        self._is_lost = True
        problem = problem or f"failed: {self._read().get('problem') or 'it ended early'}"
        line = " ".join(problem.split())[:_LONGEST_PROBLEM]
        kind, folder = self._section["kind"], os.path.relpath(self._run.directory)
        text = (
            f"tracker={kind} {line}; the run itself is not affected (details in "
            f"{folder}/{FOLDER}/log.txt, and `storm-exp track {folder} {kind}` tries again)"
        )
        self._run.problems.append(text)
        Progress.write(f"  warning: {text}")

    def _read(self) -> dict[str, Any]:
        """Return what the follower wrote about itself; empty before it has."""
        try:
            return dict(json.loads((self._exchange / OUTCOME).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}


def start(run: RunRecord) -> None:
    """Start following a run; a rehearsal is not shown."""
    if not run.rehearsal:
        _FOLLOWERS[run.directory] = Follower(run)


def note_stage(run: RunRecord, manifest: Manifest) -> None:
    """Pass on what a stage measured, if the run is followed."""
    if run.directory in _FOLLOWERS:
        _FOLLOWERS[run.directory].note_stage(manifest)


def finish(run: RunRecord) -> None:
    """End following a run, if it is followed."""
    follower = _FOLLOWERS.pop(run.directory, None)
    if follower is not None:
        follower.finish()
