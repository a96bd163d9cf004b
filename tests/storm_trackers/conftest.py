"""Runs of toys that trackers are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from storm_exp.testing import CommandResult, installed, run, toys


@pytest.fixture(scope="module", autouse=True)
def with_toys() -> Iterator[None]:
    """Install the toy plugin for the tests of a module."""
    with installed(toys):
        yield


@pytest.fixture
def storm(tmp_path: Path) -> Callable[..., CommandResult]:
    """Return the command line, in this process and an empty folder."""
    return partial(run, tmp_path)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Return a folder from which followers import, before anything that is installed."""
    folder = tmp_path / "packages"
    folder.mkdir()
    return folder
