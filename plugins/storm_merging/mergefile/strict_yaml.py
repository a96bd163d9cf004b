"""YAML of a stranger, read without surprises: every key once, no cycles, of bounded size."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from storm_exp import InputError

MOST_BYTES, MOST_VALUES, DEEPEST = 1_000_000, 100_000, 40
"""Limits of a file. A few lines of aliases can expand to more values than fit into memory."""


MOST_MERGED, MERGE = 10_000, "tag:yaml.org,2002:merge"
"""Entries of a mapping after its merge keys (`<<`), each of which may name 100 others."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML 1.1 as mergekit reads it, but for keys that are given twice."""

    def flatten_mapping(self, node: Any) -> None:
        for key, value in node.value:
            if key.tag == MERGE and isinstance(value.value, list) and len(value.value) > 100:
                raise yaml.MarkedYAMLError(
                    problem="'<<' names more than 100 others", problem_mark=key.start_mark
                )
        super().flatten_mapping(node)
        if len(node.value) > MOST_MERGED:
            raise yaml.MarkedYAMLError(
                problem=f"a mapping of more than {MOST_MERGED:,} entries by '<<'",
                problem_mark=node.start_mark,
            )

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name != "<<" and name in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"'{name}' is there twice", problem_mark=key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_yaml(file: Path) -> Any:
    """Return the contents of a file; raises InputError, which names the file and the line."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InputError(f"{file}: larger than {MOST_BYTES // 1_000_000} MB")
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 (byte {error.start})") from error
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise InputError(_told(file, error)) from error
    except (RecursionError, TypeError, ValueError) as error:
        raise InputError(f"{file}: not YAML that can be read: {error}") from error
    if len(documents) > 1:
        raise InputError(
            f"{file}: holds {len(documents)} documents, as for mergekit-multi, and one merge is "
            "read from a file"
        )
    content = documents[0] if documents else None
    _check_size(file, content)
    return content


def _told(file: Path, error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"{file}: not YAML: {' '.join(str(error).split())}"
    tab = "; lines are indented with spaces" if "'\\t'" in str(error.problem) else ""
    told = " ".join(filter(None, (error.context, error.problem)))
    return f"{file}:{error.problem_mark.line + 1}: not YAML: {told}{tab}"


def place_in(file: Path, path: str) -> str:
    """Return FILE:LINE of the key that `path` begins with, such as `models[0].parameters.weight`.

    What `path` holds besides is left aside; FILE alone where no key of the file comes first.
    """
    node, line = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader), 0
    while True:
        if isinstance(node, yaml.MappingNode):
            keys = [
                (key, value)
                for key, value in node.value
                if re.match(rf"{re.escape(str(key.value))}(?![\w-])", path)
            ]
            if not keys:
                break
            key, node = max(keys, key=lambda pair: len(pair[0].value))
            line, path = key.start_mark.line + 1, path[len(key.value) :].removeprefix(".")
        else:
            item = re.match(r"\[(\d+)\]\.?", path)
            if not isinstance(node, yaml.SequenceNode) or not item:
                break
            node, path = node.value[int(item[1])], path[item.end() :]
            line = node.start_mark.line + 1
    return f"{file}:{line}" if line else str(file)


def _check_size(file: Path, content: Any) -> None:
    """Raise InputError for values that hold themselves, are too many, or are too deep."""
    count = 0

    def visit(value: Any, holders: tuple[int, ...]) -> None:
        nonlocal count
        count += 1
        if id(value) in holders:
            raise InputError(f"{file}: an alias stands for something that holds it")
        if count > MOST_VALUES or len(holders) > DEEPEST:
            limit = f"{MOST_VALUES:,} values" if count > MOST_VALUES else f"{DEEPEST} levels"
            raise InputError(f"{file}: more than {limit}")
        if isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                visit(each, (*holders, id(value)))

    visit(content, ())
