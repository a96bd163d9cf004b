"""The command line inside this process, with and without toy plugins."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from storm_exp.testing import CommandResult, run


@pytest.fixture
def storm(tmp_path: Path) -> Callable[..., CommandResult]:
    """Return the command line, called inside this process and an empty folder."""
    return partial(run, tmp_path)


@pytest.fixture
def ask(storm: Callable[..., CommandResult]) -> Callable[..., dict[str, Any]]:
    """Return the command line with `--json`, whose answer is parsed."""

    def call(*arguments: str) -> dict[str, Any]:
        said = storm(*arguments, "--json")
        assert said.code == 0, said.err
        answer: dict[str, Any] = json.loads(said.out)
        assert list(answer) == ["storm_exp", "verb", "items", "notes", "error"]
        assert answer["verb"] in (arguments[0], " ".join(arguments[:2]))
        assert answer["error"] == ""
        return answer

    return call
