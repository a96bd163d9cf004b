"""Processes of this machine, as /proc shows them."""

from __future__ import annotations

import time
from pathlib import Path


def descendants(parent: int) -> dict[int, str]:
    """Return the processes below one, with their command lines."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            above = int(file.read_text().rpartition(")")[2].split()[1])
            words = (file.parent / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if above == parent:
            number = int(file.parent.name)
            found |= {number: words, **descendants(number)}
    return found


def await_descendant(parent: int, word: str, seconds: float) -> dict[int, str]:
    """Wait until a process below one has a word in its command line; returns all below it."""
    until = time.monotonic() + seconds
    below: dict[int, str] = {}
    while not any(word in words for words in below.values()):
        below = descendants(parent)
        assert Path(f"/proc/{parent}").exists() and time.monotonic() < until
        time.sleep(0.1)
    return below


def assert_gone(processes: dict[int, str], seconds: float = 30) -> None:
    """Wait for the end of processes."""
    until = time.monotonic() + seconds
    while left := [number for number in processes if Path(f"/proc/{number}").exists()]:
        assert time.monotonic() < until, {number: processes[number] for number in left}
        time.sleep(0.2)
