"""What the end-to-end tests share: one cold run of `smoke`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from end_to_end.workplace import Workplace


@pytest.fixture(scope="session")
def smoked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A workplace after one cold run of `smoke`, made once for all test processes."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    place = Workplace(shared / "smoked")
    with FileLock(shared / "smoked.lock"):
        if not (place.folder / "done").exists():
            output = place.run_interpreter("recipe=smoke")
            (place.folder / "output.txt").write_text(output, encoding="utf-8")
            (place.folder / "done").touch()
    yield place


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """An empty workplace."""
    return Workplace(tmp_path / "work")


@pytest.fixture
def warm(smoked: Workplace, place: Workplace) -> Workplace:
    """A workplace of its own whose store is a copy of the one with a cold run."""
    source = smoked.folder / "outputs/store"
    target = place.folder / "outputs/store"
    target.parent.mkdir(parents=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return place
