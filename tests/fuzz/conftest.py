"""Fixtures of the fuzzers: a command line in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from storm_exp.__main__ import main
from storm_exp.testing import installed
from storm_exp.testing.command_line import isolated

TOYS = Path(__file__).parents[1] / "toys"
PATIENCE = 20
"""Seconds after which a command line hangs."""


class Hang(BaseException):
    """A command line exceeded its time."""


@dataclasses.dataclass
class Answer:
    """The result of a command line."""

    words: list[str]
    code: Any
    text: str
    """Both streams."""

    def fault(self) -> str:
        """Return what is wrong with the result: a traceback, a hang, an unexpected error."""
        for sign in ("Traceback", "an unexpected failure"):
            if sign in self.text:
                return self.text
        return "" if self.code in (0, 1, 2) else f"exit code {self.code}"

    def names(self, *offenders: str) -> bool:
        """Return whether an error names one of these."""
        return self.code == 0 or any(offender in self.text for offender in offenders)


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Answer]]:
    """Return a function that plans a command line, in an empty folder with the toys installed."""
    signal.signal(signal.SIGALRM, _hang)

    def call(*words: str) -> Answer:
        both = io.StringIO()
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        try:
            with (
                isolated(tmp_path),
                contextlib.redirect_stdout(both),
                contextlib.redirect_stderr(both),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")
                code: Any = main(list(words))
        except (Hang, SystemExit, Exception) as error:
            code = repr(error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return Answer(list(words), code, both.getvalue())

    monkeypatch.chdir(tmp_path)
    with installed(TOYS):
        yield call
