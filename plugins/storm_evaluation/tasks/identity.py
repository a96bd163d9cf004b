"""What the scores of a task depend on, apart from the model and from other tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from storm_evaluation.tasks.folder import TaskFolder
from storm_evaluation.tasks.tree import Leaf
from storm_evaluation.tasks.yaml_file import NamedFunction, load_whole_yaml


class FolderIdentity:
    """The files of a folder that each of its tasks depends on.

    They are all but the YAMLs of tasks, whose content a task's configuration holds, and the data
    files that only other tasks name. Python code may read any of the rest.
    """

    def __init__(self, folder: TaskFolder) -> None:
        """Find the files that belong to single tasks."""
        self._root, self._index = folder.directory, folder.index()
        files = {self._index.file(n) for n, e in self._index.entries.items() if e.kind != "tag"}
        named = {name for file in files for name in _data_files(load_whole_yaml(file), file.parent)}
        self._shared = [f for f in folder.files() if f not in files and f not in named]

    def of(self, leaf: Leaf) -> dict[str, str]:
        """Return {file: digest} of a task."""
        # A task that is written within a group's YAML has no entry of its own.
        entry = next(e for n in leaf.names if (e := self._index.entries.get(n)) and e.file)
        own = set(_data_files(leaf.config, (self._root / entry.file).parent))
        files = [*self._shared, *sorted(file for file in own if file.is_file())]
        return digests(files, self._root)


def configuration(value: Any) -> Any:
    """Return a task's YAML as JSON values, in which functions are names."""
    if isinstance(value, NamedFunction):
        return {"function": value.name}
    if isinstance(value, dict):
        return {str(key): configuration(each) for key, each in value.items()}
    if isinstance(value, list):
        return [configuration(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _data_files(config: dict[str, Any], folder: Path) -> Iterator[Path]:
    """Yield the paths of the data files that a task's YAML names."""
    arguments = config.get("dataset_kwargs")
    waiting = [arguments.get("data_files")] if isinstance(arguments, dict) else []
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield folder / each
        elif isinstance(each, dict | list):
            waiting += each.values() if isinstance(each, dict) else each


def digests(files: Iterable[Path], root: Path) -> dict[str, str]:
    """Return {path below root: sha256} of files."""
    found = {}
    for file in files:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        found[file.relative_to(root).as_posix()] = digest
    return found
