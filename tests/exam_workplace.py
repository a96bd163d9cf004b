"""Numbers that are added up and examined, and the command line in an empty folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import exams
from storm_exp.testing import CommandResult, installed, toys
from storm_exp.testing import run as run_in


@pytest.fixture(scope="module", autouse=True)
def plugins() -> Iterator[None]:
    with installed(toys, exams):
        yield


@pytest.fixture
def storm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CommandResult]:
    """Return the command line, called in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return partial(run_in, tmp_path)
