"""The names of lm-evaluation-harness tasks and where they are defined, read without the harness.

The harness has fourteen thousand files; parsing all as YAML takes half a minute. Only the keys that
name a task are read here, and the index is cached on disk for the installed version.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from storm_evaluation.tasks.yaml_file import included, load_task_yaml

_KEY = re.compile(r"^[\"']?(task|group|tag|class|include)[\"']?[ \t]*:(?=[ \t\r]|$)[ \t]*(.*)$")
_ITEM = re.compile(r"^[ \t]*-[ \t]+(.*)$")
_FORMAT = 1
"""Version of the cached index's format."""
_SKIPPED = ("__pycache__", ".ipynb_checkpoints")


@dataclasses.dataclass(frozen=True)
class TaskEntry:
    """A name's definition: a task or group defined in a file, or a tag of several tasks."""

    kind: str
    """task, group or tag."""
    file: str = ""
    """Relative to the folder; empty for a tag."""
    members: tuple[str, ...] = ()
    """The tasks of a tag, sorted."""


class TaskIndex:
    """The names of a folder of tasks and their definitions."""

    def __init__(
        self, root: Path, entries: dict[str, TaskEntry], *, of_installed: bool = False
    ) -> None:
        """`entries` are defined in files below `root`: the harness's folder, or a user's."""
        self.root, self.entries, self.of_installed = root, entries, of_installed
        self.remembered: dict[str, Any] = {}
        """Leaf tasks by name, cached as long as the index exists."""

    @staticmethod
    def of_folder(root: Path) -> TaskIndex:
        """Read a folder; other files than task YAMLs are ignored, as in the harness."""
        return TaskIndex(root, _read(root))

    @staticmethod
    def of_harness(needed: tuple[str, ...] = ()) -> TaskIndex | None:
        """Return the tasks of the installed harness, None where it is not installed.

        A cached index that lacks a name of `needed` is rebuilt: an editable installation may have
        new tasks.
        """
        root = harness_folder()
        if root is None:
            return None
        index = _cached_index(root)
        complete = all(name in index.entries for name in needed) and all(
            (root / index.entries[name].file).exists() for name in needed
        )
        if not complete:
            _write_cache(root, _read(root))
            _cached_index.cache_clear()
            index = _cached_index(root)
        return index

    def file(self, name: str) -> Path:
        """Return the YAML that defines a task or group."""
        return self.root / self.entries[name].file


@functools.cache
def harness_folder() -> Path | None:
    """Return the folder of the harness's tasks, without importing the harness."""
    spec = importlib.util.find_spec("lm_eval")
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    folder = Path(places[0], "tasks") if places else None
    return folder if folder is not None and folder.is_dir() else None


def _read(root: Path) -> dict[str, TaskEntry]:
    entries: dict[str, TaskEntry] = {}
    tags: dict[str, set[str]] = {}
    known: dict[Path, dict[str, Any]] = {}
    for file in _yaml_files(root):
        try:
            keys = _keys(file, known)
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            continue
        kind = "task" if "class" in keys or "group" not in keys else "group"
        name = keys.get(kind)
        if not isinstance(name, str) or name in entries or name in tags:
            continue
        entries[name] = TaskEntry(kind, file.relative_to(root).as_posix())
        if kind == "task":
            labels = keys.get("tag") or []
            for label in [labels] if isinstance(labels, str) else labels:
                if label not in entries:
                    tags.setdefault(label, set()).add(name)
    return entries | {
        label: TaskEntry("tag", members=tuple(sorted(members))) for label, members in tags.items()
    }


def _yaml_files(root: Path) -> Iterator[Path]:
    files = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _SKIPPED]
        files += [f"{folder}/{name}" for name in names if name.endswith(".yaml")]
    yield from map(Path, sorted(files))


def _keys(file: Path, known: dict[Path, dict[str, Any]]) -> dict[str, Any]:
    """Return the keys that name a task, with those of included files."""
    if file not in known:
        own = _own_keys(file)
        known[file] = {}
        merged: dict[str, Any] = {}
        for other in included(own, file.parent):
            merged |= _keys(other, known)
        known[file] = merged | own
    return known[file]


def _own_keys(file: Path) -> dict[str, Any]:
    """Read the keys line by line; values that are not plain are parsed as YAML."""
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    keys: dict[str, Any] = {}
    for number, line in enumerate(lines):
        match = _KEY.match(line)
        if match is None:
            continue
        name, text = match[1], re.sub(r"(^|\s)#.*$", "", match[2]).strip()
        value = _plain(text) if text else _items(lines[number + 1 :])
        if value is None:
            content = load_task_yaml(file)
            return {key: content[key] for key in content if _KEY.match(f"{key}: ")}
        keys[name] = value
    return keys


def _plain(text: str) -> Any:
    """Return a scalar or a short list as YAML would, None for anything else."""
    if text[0] in "\"'":
        return text[1:-1] if len(text) > 1 and text[-1] == text[0] else None
    if text[0] == "[":
        inner = text[1:-1]
        plain = text[-1] == "]" and not set(inner) & set("[]{}\"'#")
        return [part.strip() for part in inner.split(",") if part.strip()] if plain else None
    if text.startswith("!function"):
        return text
    return None if text[0] in "{|>&*!%@`" or ": " in text else text


def _items(lines: list[str]) -> Any:
    """Return the items of a block list, None for anything but a list of plain scalars."""
    items: list[Any] = []
    for line in lines:
        bare = re.sub(r"(^|\s)#.*$", "", line)
        if not bare.strip():
            continue
        match = _ITEM.match(bare)
        if match is None:
            if bare[0] in " \t":
                return None if not items or not bare.lstrip().startswith("-") else items
            break
        value = _plain(match[1].strip()) if match[1].strip() else None
        if not isinstance(value, str):
            return ["?"]
        items.append(value)
    return items


@functools.cache
def _cached_index(root: Path) -> TaskIndex:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads(_cache_file(root).read_text(encoding="utf-8"))
        entries = {
            name: TaskEntry(kind, file, tuple(members))
            for name, (kind, file, members) in content.items()
        }
        return TaskIndex(root, entries, of_installed=True)
    entries = _read(root)
    _write_cache(root, entries)
    return TaskIndex(root, entries, of_installed=True)


def _write_cache(root: Path, entries: dict[str, TaskEntry]) -> None:
    """Cache an index for later processes, if the cache can be written."""
    file = _cache_file(root)
    content = {name: [e.kind, e.file, list(e.members)] for name, e in entries.items()}
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(file)


def _cache_file(root: Path) -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    version = importlib.metadata.version("lm_eval")
    digest = hashlib.sha256(str(root).encode()).hexdigest()[:12]
    return Path(folder, "storm_exp", f"lm_eval_tasks_{_FORMAT}_{version}_{digest}.json")
