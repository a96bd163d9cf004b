"""Reading the words after a verb."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from storm_exp import InputError


class Words(argparse.ArgumentParser):
    """A parser whose complaints are InputErrors, and which prints its help without ending."""

    def __init__(self, verb: str, description: str) -> None:
        """Parse what stands after `storm-exp VERB`."""
        super().__init__(f"storm-exp {verb}", description=description, add_help=False)

    def error(self, message: str) -> NoReturn:
        """Raise InputError with a complaint and the usage."""
        raise InputError(f"{self.prog}: {message}\n{self.format_usage().rstrip()}")

    def read(self, words: Sequence[str]) -> argparse.Namespace | None:
        """Return what the words say, None where they ask for help, which is printed."""
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
