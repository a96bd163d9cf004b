"""Input and output of a chat: text of models cannot control the terminal."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import TextIO

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters except tab and newline, and those that change the direction of text."""
_PROMPT = "> "
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


def harmless(text: str) -> str:
    """Return a text with its control characters escaped, for example as `\\x1b`."""
    return _STEERING.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


class Terminal:
    """Writes answers to standard output, everything else to standard error.

    In a pipe or file the answer is not escaped.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        """Write to the process's own streams by default."""
        self._out, self._err = out or sys.stdout, err or sys.stderr
        self._spelled = self._out.isatty()
        self._coloured = self._err.isatty() and not os.environ.get("NO_COLOR")
        self.watched = self._err.isatty()
        """Whether notes are shown in a terminal."""

    def write(self, text: str) -> None:
        """Write a piece of an answer without delay."""
        self._out.write(harmless(text) if self._spelled else text)
        self._out.flush()

    def note(self, text: str) -> None:
        """Write a line about the chat."""
        line = harmless(text)
        self._err.write(f"{_DIM}{line}{_PLAIN}\n" if self._coloured else f"{line}\n")
        self._err.flush()

    def ask(self) -> str:
        """Return the next line of input; raises EOFError at the end."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  input() then edits lines, and remembers them
        if self._spelled:
            return readable(input(_PROMPT))
        self._err.write(_PROMPT)
        self._err.flush()
        return readable(input())


def readable(text: str) -> str:
    """Return input with bytes that are not valid UTF-8 replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
