"""What the engine's tests share: the toy plugins, and a command line inside this process."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from storm_exp import Plan
from storm_exp._contract.plugins import load_plugins
from storm_exp.report import RunRecord
from storm_exp.testing import CommandResult, installed
from storm_exp.testing import plan as plan_in
from storm_exp.testing import run as run_in
from waiting import PATIENCE

TOYS = Path(__file__).parents[1] / "toys"


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    """Install the toy plugins for the tests of a module."""
    with installed(TOYS):
        load_plugins()  # before a test replaces a method that a toy inherits
        yield


@pytest.fixture
def storm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CommandResult]:
    """Return the command line, called inside this process and an empty folder."""
    monkeypatch.chdir(tmp_path)
    return partial(run_in, tmp_path)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Return a function that plans in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return partial(plan_in, tmp_path)


@dataclasses.dataclass
class Said:
    """What a command line came to in a process of its own."""

    code: int
    out: str
    err: str


@dataclasses.dataclass
class Started:
    """A command line in a process of its own."""

    process: subprocess.Popen[str]

    def wait(self) -> Said:
        """Return how it ended."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return Said(self.process.returncode, out, err)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Return a function that starts `python …` in the test's folder, with the toys installed."""
    started: list[subprocess.Popen[str]] = []

    def call(*arguments: str, **environment: str) -> Started:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return Started(process)

    yield call
    for process in started:
        process.kill()
        with process:  # wait, and close its pipes
            pass


def latest(folder: Path) -> RunRecord:
    """Return the record of the latest run in a folder."""
    return RunRecord.read((folder / "outputs" / "latest").resolve())


@pytest.fixture
def record(tmp_path: Path) -> Callable[[], RunRecord]:
    """Return a function that reads the record of the latest run."""
    return lambda: latest(tmp_path)


@pytest.fixture
def statuses(tmp_path: Path) -> Callable[[], dict[str, str]]:
    """Return a function that tells, for the latest run, what became of each stage."""

    def read() -> dict[str, str]:
        return {s.label: s.status for cell in latest(tmp_path).cells for s in cell.stages}

    return read


@pytest.fixture
def values(tmp_path: Path) -> Callable[[], dict[str, float]]:
    """Return a function that reads, for the latest run, the number that each stage made."""

    def read() -> dict[str, float]:
        stages = [s for cell in latest(tmp_path).cells for s in cell.stages if s.directory]
        return {s.label: s.read("value.json") for s in stages}

    return read


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes a user's own recipe and returns the folder for `-cd`."""

    def write(name: str, defaults: list[Any], graph: dict[str, Any], **more: Any) -> str:
        file = tmp_path / "mine" / "recipe" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        body = {"defaults": defaults, "graph": graph, **more}
        file.write_text(f"# @package _global_\n{yaml.safe_dump(body)}", encoding="utf-8")
        return str(tmp_path / "mine")

    return write


def made_counts(record: RunRecord) -> dict[str, int]:
    """Return how many artifacts of each component a run made."""
    counts: dict[str, int] = {}
    seen: set[str] = set()
    for stage in (s for cell in record.cells for s in cell.stages):
        if stage.status == "made" and stage.key not in seen:
            seen.add(stage.key)
            counts[stage.component] = counts.get(stage.component, 0) + 1
    return counts


@pytest.fixture
def made(tmp_path: Path) -> Callable[[], dict[str, int]]:
    """Return a function that counts what the latest run made, by component."""
    return lambda: made_counts(latest(tmp_path))


def read_json(file: Path) -> Any:
    """Return a JSON file."""
    return json.loads(file.read_text(encoding="utf-8"))
