"""Folders of lm-evaluation-harness tasks, read without the harness."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from storm_evaluation.tasks.index import TaskIndex
from storm_evaluation.tasks.yaml_file import load_task_yaml
from storm_exp import InputError, SettingError

_PACKAGE = "pkg://"
_FOLDERS = 8
"""Folders whose indices are cached."""


class TaskFolder:
    """A folder of task YAMLs with the data files and Python code that they use."""

    def __init__(self, location: str, named_by: str = "task_folder") -> None:
        """Find the folder at `location`, a path or `pkg://package/folder`.

        `named_by` is the setting that says so. Raises SettingError for a package that is not
        installed and a folder that does not exist.
        """
        self.directory = _resolve(location, named_by)

    def files(self) -> Iterator[Path]:
        """Yield every file that scores may depend on, in order, without Python's caches."""
        for file in sorted(self.directory.rglob("*")):
            relative = file.relative_to(self.directory)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
            if file.is_file() and not hidden and file.suffix != ".pyc":
                yield file

    def names(self) -> list[str]:
        """Return the names of tasks, groups and tags; raises InputError for a broken YAML."""
        names: set[str] = set()
        for file in self.files():
            if file.suffix != ".yaml":
                continue
            try:
                content = load_task_yaml(file)
            except (yaml.YAMLError, ValueError) as error:
                raise InputError(f"{file}: not a task's YAML ({error})") from error
            names.update(_names_in(content))
        return sorted(names)

    def index(self) -> TaskIndex:
        """Return the index of its tasks; raises InputError for a broken YAML.

        It is cached within the process, for the cells of a sweep, unless a file changes.
        """
        states = []
        for file in self.files():
            state = file.stat()
            states.append((str(file), state.st_mtime_ns, state.st_size))
        return _index(self, tuple(states))


_Known = tuple[Path, tuple[tuple[str, int, int], ...]]
_INDICES: dict[_Known, TaskIndex] = {}


def _index(folder: TaskFolder, states: tuple[tuple[str, int, int], ...]) -> TaskIndex:
    known = (folder.directory, states)
    if known not in _INDICES:
        folder.names()
        while len(_INDICES) >= _FOLDERS:
            _INDICES.pop(next(iter(_INDICES)))
        _INDICES[known] = TaskIndex.of_folder(folder.directory)
    return _INDICES[known]


def _names_in(content: dict[str, Any]) -> Iterator[str]:
    for entry in ("task", "group"):
        if isinstance(content.get(entry), str):
            yield content[entry]
    tags = content.get("tag") or []
    yield from [tags] if isinstance(tags, str) else tags


def _resolve(location: str, named_by: str) -> Path:
    if not location.startswith(_PACKAGE):
        folder = Path(location).expanduser().absolute()
    else:
        package, _, inside = location.removeprefix(_PACKAGE).partition("/")
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise SettingError(named_by, location, f"no package '{package}' is installed")
        folder = Path(next(iter(spec.submodule_search_locations)), inside)
    if not folder.is_dir():
        raise SettingError(named_by, location, f"there is no folder {folder}")
    return folder
