"""Processes that need not import again what all of them import.

A server, one for each test process, has imported what `preloaded` says and run nothing. What is
called or typed runs in a fork of it: as apart from other tests as a new interpreter, without its
seconds of imports.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any
from unittest.mock import patch

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
"""What the libraries read when they are imported."""


@functools.cache
def server() -> ForkServerContext:
    """Return the server of this test process, started."""
    from multiprocessing.forkserver import ensure_running

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["preloaded"])
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    with patch.dict(os.environ, {**ENVIRONMENT, "PYTHONPATH": path.rstrip(os.pathsep)}):
        ensure_running()
    return context


class Forked:
    """A call in a process of its own, with what of `subprocess.Popen` tests use."""

    def __init__(self, call: Callable[..., None], *arguments: Any) -> None:
        """`call` and its arguments are pickled."""
        reader, writer = server().Pipe(duplex=False)
        environment = {**os.environ, **ENVIRONMENT}
        self._process = server().Process(target=_be, args=(environment, writer, call, *arguments))
        self._process.start()
        writer.close()
        self.stdout = os.fdopen(os.dup(reader.fileno()), encoding="utf-8")
        reader.close()

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, -N after signal N; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        self._process.join()
        self.stdout.close()
        assert self.returncode is not None
        return self.returncode

    def communicate(self) -> tuple[str, None]:
        """Wait for its end and return what it still had to say on both streams."""
        try:
            with self.stdout:
                said = self.stdout.read()
        except BaseException:  # a test that waited too long leaves nothing behind
            self.send_signal(signal.SIGKILL)
            raise
        self.wait()
        return said, None


def _be(
    environment: dict[str, str], writer: Connection, call: Callable[..., None], *arguments: Any
) -> None:
    """Call in this process, with the variables of the test's and both streams into a pipe."""
    os.dup2(writer.fileno(), 1)
    os.dup2(writer.fileno(), 2)
    writer.close()
    # What the server had may be a file's, and a file's stream cannot write to a pipe.
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1)
    os.environ.clear()
    os.environ.update(environment)
    call(*arguments)


def command_line(
    arguments: tuple[str, ...], folder: Path, before: Callable[[], None] | None
) -> None:
    """Be `python -m storm_exp ARGUMENTS` in a folder, after another call."""
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    if before is not None:
        before()

    from storm_exp import __main__

    sys.argv = [__main__.__file__, *arguments]
    sys.exit(__main__.main())
