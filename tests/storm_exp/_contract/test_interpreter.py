"""A shell without the environment is told so, by any Python that it may have."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from storm_exp._contract import interpreter

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python of our version without any package."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    return folder / "bin" / "python"


def call(python: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_python_without_packages_is_answered_with_the_environment_that_is_there(
    bare_python, tmp_path
):
    python = tmp_path / "my project" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    said = call(bare_python, python.parents[2], "-m", "storm_exp", "recipe=storm")
    assert said.returncode == 1
    assert "Traceback" not in said.stderr
    assert said.stderr.startswith(f"error: {bare_python} lacks the packages omegaconf, pluggy")
    assert f"source '{python.parents[1]}'/bin/activate" in said.stderr
    assert f"'{python}' -m storm_exp" in said.stderr


def test_without_an_environment_it_is_said_how_to_make_one(bare_python, tmp_path):
    package = tmp_path / "storm_exp"
    package.symlink_to(ROOT / "storm_exp")
    said = call(bare_python, tmp_path, "-m", "storm_exp")
    assert said.returncode == 1
    assert "`make run`" in said.stderr or ".venv" in said.stderr


def test_an_import_from_a_program_raises_what_imports_raise(bare_python, tmp_path):
    words = "try: import storm_exp\nexcept ModuleNotFoundError as error: print('told:', error)"
    said = call(bare_python, tmp_path, "-c", words)
    assert said.stdout.startswith(f"told: {bare_python} lacks the packages omegaconf")


def test_an_older_python_is_named(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 8, 18))
    assert "needs Python 3.11 or later" in interpreter.complaint()
    assert "is 3.8\n" in interpreter.complaint()


@pytest.mark.parametrize("file", ["__init__.py", "_contract/interpreter.py"])
def test_the_way_to_the_answer_is_readable_by_python_3_8(file):
    import ast

    source = (ROOT / "storm_exp" / file).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 8))


def test_this_python_lacks_nothing():
    assert interpreter.complaint() == ""


def test_a_worker_needs_less_than_the_command_line(monkeypatch):
    found = interpreter.importlib.util.find_spec
    monkeypatch.setattr(
        interpreter.importlib.util,
        "find_spec",
        lambda name: None if name in ("hydra", "filelock") else found(name),
    )
    assert interpreter.complaint() == ""
    assert "lacks the packages hydra, filelock" in interpreter.complaint(interpreter.TO_RUN)
