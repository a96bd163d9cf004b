"""What is written to a terminal: texts of models are data, and steer nothing there."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import TextIO

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and those that turn the direction of writing."""
_PROMPT = "> "
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


def harmless(text: str) -> str:
    """Return a text whose control characters are spelled, as in `\\x1b`."""
    return _STEERING.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


class Terminal:
    """The answer goes to standard output, everything else to standard error.

    What a program reads (a pipe, a file) is the answer as it is.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        """Write to the process's own streams by default."""
        self._out, self._err = out or sys.stdout, err or sys.stderr
        self._spelled = self._out.isatty()
        self._coloured = self._err.isatty() and not os.environ.get("NO_COLOR")
        self.watched = self._err.isatty()
        """Whether somebody sees what is noted."""

    def write(self, text: str) -> None:
        """Show a piece of an answer at once."""
        self._out.write(harmless(text) if self._spelled else text)
        self._out.flush()

    def note(self, text: str) -> None:
        """Show a line about the chat."""
        line = harmless(text)
        self._err.write(f"{_DIM}{line}{_PLAIN}\n" if self._coloured else f"{line}\n")
        self._err.flush()

    def ask(self) -> str:
        """Return the line that the user types; raises EOFError at the end."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  input() then edits lines, and remembers them
        if self._spelled:
            return readable(input(_PROMPT))
        self._err.write(_PROMPT)
        self._err.flush()
        return readable(input())


def readable(text: str) -> str:
    """Return what was typed or piped, with a sign in place of bytes that are no text."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
