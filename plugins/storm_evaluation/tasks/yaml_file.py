"""YAML of lm-evaluation-harness tasks, read without running the functions that it names."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclasses.dataclass(frozen=True)
class NamedFunction:
    """A Python function that a task's YAML names with `!function module.function`."""

    folder: Path
    """The YAML's folder, which is searched first for the module."""
    name: str


def load_task_yaml(file: Path) -> dict[str, Any]:
    """Return a YAML file without its includes; raises ValueError unless it is a mapping.

    Functions become NamedFunctions, other tags texts. Raises yaml.YAMLError and OSError.
    """
    status = file.stat()
    return copy.deepcopy(_parsed(file, status.st_mtime_ns, status.st_size))


@functools.lru_cache(maxsize=1024)
def _parsed(file: Path, modified: int, size: int) -> dict[str, Any]:
    """Parse a file; cached, as every cell of a sweep needs it."""

    class Loader(_SafeLoader):  # type: ignore[misc]
        """A loader that records the folder of its file."""

    def function(loader: Any, node: yaml.Node) -> NamedFunction:
        return NamedFunction(file.parent, str(node.value))

    def other(loader: Any, suffix: str, node: yaml.Node) -> str:
        return f"!{suffix} {getattr(node, 'value', '')}"

    Loader.add_multi_constructor("!", other)
    Loader.add_constructor("!function", function)
    with file.open(encoding="utf-8") as stream:
        content = yaml.load(stream, Loader=Loader)
    if not isinstance(content, dict):
        raise ValueError(f"{file}: not a task's YAML")
    return content


def included(content: dict[str, Any], folder: Path) -> Iterator[Path]:
    """Yield the files that a YAML includes."""
    names = content.get("include") or []
    for name in [names] if isinstance(names, str) else names:
        yield folder / str(name)


def load_whole_yaml(file: Path, depth: int = 0) -> dict[str, Any]:
    """Return a YAML file with its includes; its own keys take precedence, as in the harness.

    Raises ValueError for files that include each other.
    """
    if depth > 20:
        raise ValueError(f"{file}: its includes are circular")
    own = load_task_yaml(file)
    merged: dict[str, Any] = {}
    for other in included(own, file.parent):
        merged |= load_whole_yaml(other, depth + 1)
    own.pop("include", None)
    merged.pop("task_list", None)
    return merged | own
