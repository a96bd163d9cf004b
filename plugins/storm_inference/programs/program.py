"""A program that ends with this process, however that ends: it runs under a guardian."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Self

from storm_inference.programs import guardian


class Program:
    """A program that runs until it ends, `end` is called or the `with` block is left.

    The processes that it started end with it.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        output: IO[bytes],
        *,
        environment: Mapping[str, str] | None = None,
        lock: int | None = None,
    ) -> None:
        """Start the program with its output in `output`; it keeps the descriptor `lock` open."""
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
        """The id of the guardian's process."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, negative for the signal that ended it; None while it runs."""
        return self._process.poll()

    def end(self) -> int:
        """End the program, by force if necessary, and return its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


def last_lines(output: IO[bytes], lines: int) -> str:
    """Return the last lines of a program's output file."""
    size = output.seek(0, 2)
    output.seek(max(0, size - (1 << 16)))
    return "\n".join(output.read().decode(errors="replace").splitlines()[-lines:])
