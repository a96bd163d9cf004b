"""Input and output of a chat. Control characters of a model's text never reach a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

from storm_report.controls import escape_controls

_PROMPT = "> "
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class Terminal:
    """Writes answers to standard output and notes to standard error.

    Answers are escaped for a terminal, and unchanged for a pipe or a file.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        """Use the given streams, by default those of the process."""
        self._out, self._err = out or sys.stdout, err or sys.stderr
        self._escaped = self._out.isatty()
        self._coloured = self._err.isatty() and not os.environ.get("NO_COLOR")
        self.watched = self._err.isatty()
        """Whether notes are shown on a terminal."""

    def write(self, text: str) -> None:
        """Write a piece of an answer at once."""
        self._out.write(escape_controls(text) if self._escaped else text)
        self._out.flush()

    def note(self, text: str) -> None:
        """Write a line about the chat."""
        line = escape_controls(text)
        self._err.write(f"{_DIM}{line}{_PLAIN}\n" if self._coloured else f"{line}\n")
        self._err.flush()

    def ask(self) -> str:
        """Return the next line of the user; raises EOFError at the end of the input."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  gives input() line editing and a history
        if self._escaped:
            return replace_invalid(input(_PROMPT))
        self._err.write(_PROMPT)
        self._err.flush()
        return replace_invalid(input())


def replace_invalid(text: str) -> str:
    """Return an input with U+FFFD in place of bytes that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
