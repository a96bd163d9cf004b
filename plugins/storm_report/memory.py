"""The memory of a stage: that of this process while the stage runs, and of its programs."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_EVERY_SECONDS = 0.25
_MUCH_BYTES = 64 << 20
"""By how much a process grows before it is worth a tenth of a second to look for garbage."""
_PROC = Path("/proc")
_resident_before = 0
"""Resident bytes after the last look."""


@contextmanager
def memory_meter() -> Iterator[Callable[[], int]]:
    """Measure while the context lasts; yields a function that returns the peak in bytes.

    What earlier stages left behind is given back to the system first.
    """
    _give_back()
    with suppress(OSError):  # proc(5): the peak is what is resident now
        (_PROC / "self/clear_refs").write_text("5", encoding="utf-8")
    programs = _Programs()
    programs.start()
    try:
        yield lambda: peak_memory() + programs.peak
    finally:
        programs.end.set()
        programs.join()


def _give_back() -> None:
    """Give what is not needed any more back to the system, if this process has grown by much."""
    global _resident_before
    if _resident() < _resident_before + _MUCH_BYTES:
        return
    gc.collect()
    with suppress(OSError, AttributeError):  # C libraries without it
        ctypes.CDLL(None).malloc_trim(0)
    _resident_before = _resident()


def _resident() -> int:
    """Return the resident memory of this process in bytes; 0 on systems without proc(5)."""
    try:
        fields = (_PROC / "self/statm").read_text(encoding="utf-8").split()
    except OSError:
        return 0
    return int(fields[1]) * resource.getpagesize()


def peak_memory() -> int:
    """Return the peak resident memory of this process since the last reset, in bytes."""
    try:
        status = (_PROC / "self/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Programs(threading.Thread):
    """Looks from time to time at the memory of all processes that were started below this one."""

    def __init__(self) -> None:
        super().__init__(name="memory of programs", daemon=True)
        self.end = threading.Event()
        self._earlier = set(_resident_below(os.getpid())) if _has_children() else set()
        self.peak = 0
        """Bytes that were resident at once."""

    def run(self) -> None:
        while not self.end.wait(_EVERY_SECONDS):
            if _has_children():
                found = _resident_below(os.getpid())
                started = (found[process] for process in found.keys() - self._earlier)
                self.peak = max(self.peak, sum(started))


def _has_children() -> bool:
    """Return whether this process has started any that it has not waited for (a microsecond)."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _resident_below(process: int) -> dict[int, int]:
    """Return the resident bytes of all processes below one; none on systems without proc(5)."""
    children: dict[int, list[int]] = {}
    resident: dict[int, int] = {}
    for folder in _PROC.glob("[0-9]*"):
        with suppress(OSError, ValueError):  # it has ended
            # The name, in parentheses, may contain anything.
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(folder.name))
            resident[int(folder.name)] = int(fields[21]) * resource.getpagesize()
    below = list(children.get(process, []))
    for each in below:  # which grows
        below += children.get(each, [])
    return {each: resident[each] for each in below}
