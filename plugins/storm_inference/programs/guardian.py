"""Runs a program and ends it when the process that started the guardian has ended.

`python -I guardian.py PROGRAM ARGUMENTS…` uses the standard library only. Its standard input is a
pipe, which is closed when the process at the other end ends, for whatever reason. Processes that
the program started are ended with it in either case.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

PATIENCE_SECONDS = 5.0
"""How long a program may take to end after SIGTERM."""

_POLL_SECONDS = 0.02
_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Run a program; return its exit code, negative for the signal that ended it."""
    _adopt_orphans()
    try:
        program = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(error, flush=True)
        return 127
    threading.Thread(target=_watch, args=(program,), daemon=True).start()
    code = program.wait()
    _end_descendants(program.pid)
    return code


def _watch(program: subprocess.Popen[bytes]) -> None:
    """End the program when the standard input ends."""
    while os.read(0, 4096):
        pass
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, how)
        end = time.monotonic() + PATIENCE_SECONDS
        while program.returncode is None and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)


def _adopt_orphans() -> None:
    """Become the parent of orphaned descendants, on Linux: torchrun's workers have their own
    sessions.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_descendants(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    while children := _children():
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _children() -> list[int]:
    """Return the ids of this process's children, on Linux."""
    children = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(file.read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid():
                children.append(int(file.parent.name))
    return children


if __name__ == "__main__":
    code = main(sys.argv[1:])
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
