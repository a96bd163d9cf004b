"""Creation of environments: a virtual environment, pip, and a stamp once both succeeded."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import IO

from storm_exp import InputError, Progress
from storm_inference.environments.environment import STAMP, Environment, installed
from storm_inference.programs.program import Program, last_lines

OPTIONS = "PIP_OPTIONS"
"""Environment variable with further options for pip, such as an index of CPU builds of torch."""
_FOUND = re.compile(r"^(?:Collecting|Processing) ", re.MULTILINE)
"""Lines in which pip reports a package that it downloads or has in its cache."""
_POLL_SECONDS = 0.25
_TAIL = 15
"""Lines of a program's output that an error shows."""


def create(environment: Environment) -> bool:
    """Create an environment unless it exists; return whether it was created.

    If another process is creating it, wait. Raises InputError with the end of pip's output.
    """
    environment.folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(environment) as lock:
        if not environment.problem():
            return False
        if environment.folder.is_dir():
            # Without its stamp it counts as incomplete if this process is interrupted.
            (environment.folder / STAMP).unlink(missing_ok=True)
            shutil.rmtree(environment.folder)
        _build(environment, lock)
    return True


def _build(environment: Environment, lock: int) -> None:
    started = time.monotonic()
    python, log = str(environment.interpreter), environment.folder.with_suffix(".log")
    venv = [sys.executable, "-m", "venv", str(environment.folder)]
    pip = [python, "-m", "pip"]
    # This Python's pip can install into it. The hook of setuptools for `find_spec("pip")` unloads
    # distutils from this process, and warns.
    if PathFinder.find_spec("pip") is not None:
        venv += ["--without-pip"]
        pip = [sys.executable, "-m", "pip", "--python", python]
    pip += ["install", "--no-deps", "--no-input", "--progress-bar=off"]
    pip += [*shlex.split(os.environ.get(OPTIONS, "")), "-r", str(environment.requirements)]
    with log.open("w+b") as output:
        _run(venv, output, lock)
        packages = 2 * len(environment.pins())
        with Progress(f"environment {environment.name}", packages, "steps of packages") as bar:
            _run(pip, output, lock, _Steps(environment.folder, log, bar))
        for name in environment.imports:
            _run([python, "-c", f"import {name}"], output, lock)
    stamp = {"requirements": environment.digest(), "seconds": round(time.monotonic() - started)}
    partial = environment.folder / f"{STAMP}.partial"
    partial.write_text(json.dumps(stamp), encoding="utf-8")
    partial.replace(environment.folder / STAMP)
    problem = environment.problem()
    if problem:
        (environment.folder / STAMP).unlink()
        raise InputError(f"the environment '{environment.name}' {problem} (see {log})")


def _run(
    words: list[str], output: IO[bytes], lock: int, look: Callable[[], None] | None = None
) -> None:
    """Run a program; raises InputError with the end of its output if it fails."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with Program(words, output, environment=clean, lock=lock) as program:
        while program.poll() is None:
            time.sleep(_POLL_SECONDS)
            if look is not None:
                look()
        code = program.end()
    if code != 0:
        shown = last_lines(output, _TAIL)
        raise InputError(f"{' '.join(words[:4])} … ended with {code} ({output.name}):\n{shown}")


class _Steps:
    """Progress of pip: one step per package found, one per package installed."""

    def __init__(self, folder: Path, log: Path, bar: Progress) -> None:
        self._folder, self._log, self._bar = folder, log, bar
        self._counted = 0
        self._before = len(installed(folder))

    def __call__(self) -> None:
        log = self._log.read_text(encoding="utf-8", errors="replace")
        done = len(_FOUND.findall(log)) + len(installed(self._folder)) - self._before
        if done > self._counted:
            self._bar.advance(done - self._counted)
            self._counted = done


@contextlib.contextmanager
def _alone(environment: Environment) -> Iterator[int]:
    """Hold the environment's lock; yields its file descriptor, for programs that keep it open."""
    with environment.folder.with_suffix(".lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            Progress.write(
                f"waiting: another process is creating the environment {environment.name}"
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
