"""The toys of the engine's tests, and a command line inside this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from made_up import Maker
from storm_exp import Store
from storm_exp.testing import CommandResult, installed
from storm_exp.testing import run as run_in

TOYS = Path(__file__).parents[1] / "toys"


@pytest.fixture(scope="module")
def toys() -> Iterator[None]:
    """Install the toys for the tests of a module."""
    with installed(TOYS):
        yield


@pytest.fixture
def storm(
    toys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., CommandResult]:
    """Return the command line, called in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return partial(run_in, tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return the store of the command line."""
    return Store(tmp_path / "outputs/store")


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Return what makes records of runs."""
    return Maker(tmp_path)
