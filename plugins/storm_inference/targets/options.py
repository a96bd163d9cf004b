"""Options of verbs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from storm_exp import InputError


class OptionParser(argparse.ArgumentParser):
    """A parser that raises InputErrors, and returns after printing help."""

    def __init__(self, verb: str, about: str, *examples: str) -> None:
        """Create the parser of `storm-exp VERB`; examples are what stands behind the verb."""
        lines = "".join(f"\n    storm-exp {verb} {example}" for example in examples)
        super().__init__(
            f"storm-exp {verb}",
            epilog=f"for example:{lines}",
            add_help=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self._about = about

    def format_help(self) -> str:
        """Return what the verb does, its usage, options and examples, as the help of every verb."""
        return f"{self._about}\n\n{super().format_help()}"

    def error(self, message: str) -> NoReturn:
        """Raise InputError with the message and the usage."""
        raise InputError(f"{self.prog}: {message}\n{self.format_usage().rstrip()}")

    def read(self, words: Sequence[str]) -> argparse.Namespace | None:
        """Return the parsed options; None after printing help."""
        if {"-h", "--help"} & set(words):
            self.print_help()
            return None
        return self.parse_args(words)


def positive(text: str) -> int:
    """Return a positive whole number; raises ArgumentTypeError."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be a positive whole number")
    return number


def port(text: str) -> int:
    """Return a port number, 0 for a free port; raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} should be from 0 to 65535")
    return int(text)
