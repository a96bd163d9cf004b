"""A program under its guardian: however this process ends, the program ends too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Self

from storm_inference.programs import guardian


class Program:
    """Runs from its making until `end`, or the end of the `with` block, at the latest.

    Nothing that it started outlives it.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        output: IO[bytes],
        *,
        environment: Mapping[str, str] | None = None,
        lock: int | None = None,
    ) -> None:
        """Start it, with what it says in `output`; `lock` is a file's number that it holds open."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", guardian.__file__, *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=() if lock is None else (lock,),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The guardian's process."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return its exit code, negative for the signal that ended it; None while it runs."""
        return self._process.poll()

    def end(self) -> int:
        """Ask it to end, kill it if it does not, and return its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


def last_lines(output: IO[bytes], lines: int) -> str:
    """Return the last lines of a file to which a program wrote."""
    size = output.seek(0, 2)
    output.seek(max(0, size - (1 << 16)))
    return "\n".join(output.read().decode(errors="replace").splitlines()[-lines:])
