"""Parsing of the arguments of a verb."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from storm_exp import InputError


class Words(argparse.ArgumentParser):
    """A parser that raises InputError for errors, and prints its help without exiting."""

    def __init__(self, verb: str, description: str) -> None:
        """Parse the arguments after `storm-exp VERB`."""
        super().__init__(f"storm-exp {verb}", description=description, add_help=False)

    def error(self, message: str) -> NoReturn:
        """Raise InputError with the message and the usage."""
        raise InputError(f"{self.prog}: {message}\n{self.format_usage().rstrip()}")

    def read(self, words: Sequence[str]) -> argparse.Namespace | None:
        """Return the parsed arguments; None after printing help, if that was requested."""
        if {"-h", "--help"} & set(words):
            self.print_help()
            return None
        return self.parse_args(words)


def at_least_one(text: str) -> int:
    """Return a whole number above 0; raises argparse's error."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number above 0")
    return number


def port(text: str) -> int:
    """Return the number of a port, 0 for a free one; raises argparse's error."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} should be from 0 to 65535")
    return int(text)
