"""What the fuzzers share: a command line in this process that nothing may bring down."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hydra._internal.hydra import Hydra

from storm_exp.__main__ import main
from storm_exp._contract.plugins import load_plugins

TOYS = Path(__file__).parents[1] / "toys"
PATIENCE = 20
"""Seconds after which a command line hangs."""


class Hang(BaseException):
    """A command line took longer than anything that was typed may take."""


@dataclasses.dataclass
class Answer:
    """What a command line came to."""

    words: list[str]
    code: Any
    text: str
    """Both streams."""

    def fault(self) -> str:
        """Return what is wrong with the answer: a traceback, a hang, an error nobody foresaw."""
        for sign in ("Traceback", "nobody foresaw this"):
            if sign in self.text:
                return self.text
        return "" if self.code in (0, 1, 2) else f"exit code {self.code}"

    def names(self, *offenders: str) -> bool:
        """Return whether a refusal names one of these."""
        return self.code == 0 or any(offender in self.text for offender in offenders)


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang


_mode_of = Hydra.get_mode


def _cheap_mode(hydra: Hydra, config_name: str, overrides: list[str]) -> Any:
    """Compose to learn `hydra.mode` only where something may set it: half of the time."""
    may = any(word.startswith(("sweep", "hydra.mode", "+hydra.mode")) for word in overrides)
    return _mode_of(hydra, config_name, overrides) if may else None


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Answer]]:
    """Return a function that plans what is typed, in an empty folder with the toys installed."""
    sys.path.insert(0, str(TOYS))
    load_plugins.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Hydra, "get_mode", _cheap_mode)
    monkeypatch.setattr(sys, "argv", ["storm-exp"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    signal.signal(signal.SIGALRM, _hang)
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def call(*words: str) -> Answer:
        both = io.StringIO()
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        try:
            with (
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

    yield call
    root.handlers, root.level = before
    sys.path.remove(str(TOYS))
    load_plugins.cache_clear()
