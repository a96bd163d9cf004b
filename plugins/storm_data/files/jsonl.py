"""Rows of a JSONL file, or of a JSON list, read one at a time."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storm_data.files.json_list import is_list, read_elements
from storm_data.rows.bad_row import BadRow
from storm_exp import InputError, SettingError

_PROBE_BYTES = 1 << 22
_PROBE_LINES = 50


def read_rows(file: Path, longest: int) -> Iterator[tuple[int, bytes, bool]]:
    """Yield (number of the line or element from 1, text of the row, whether it is complete).

    Blank lines are left out. A row over `longest` bytes is cut: one endless line must not fill the
    memory. Raises InputError where a list is not JSON.
    """
    if is_list(file):
        for number, element in read_elements(file):
            text = element.encode(errors="surrogateescape")
            yield number, text[:longest], len(text) <= longest
    else:
        yield from _read_lines(file, longest)


def parse_row(text: bytes) -> dict[str, Any]:
    """Return a row's JSON object; raises BadRow, also for a key with two values."""
    try:
        row = json.loads(text.decode("utf-8"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise BadRow("broken UTF-8", f"at byte {error.start} of the row") from error
    except json.JSONDecodeError as error:
        # A row ends with its line break, after which JSON counts another line.
        position = min(error.pos, len(error.doc.rstrip())) + 1
        raise BadRow("not JSON", f"{error.msg} at character {position} of the row") from error
    except (ValueError, RecursionError) as error:
        raise BadRow("not JSON", str(error)[:200]) from error
    if not isinstance(row, dict):
        raise BadRow("not JSON", "the row is not an object")
    return row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        for name, value in pairs:
            if result[name] != value:
                raise BadRow("key given twice", f"{name[:100]!r} has several values")
    return result


def _read_lines(file: Path, longest: int) -> Iterator[tuple[int, bytes, bool]]:
    with file.open("rb") as stream:
        number = 0
        while line := stream.readline(longest):
            number += 1
            complete = line.endswith(b"\n") or len(line) < longest
            rest = b"" if complete else stream.readline(longest)
            while rest and not rest.endswith(b"\n"):
                rest = stream.readline(longest)
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, line, complete


def check_jsonl(setting: str, file: Path) -> None:
    """Raise SettingError unless one of the first lines, or elements, is a JSON object."""
    if not file.is_file():
        kind = "a directory" if file.is_dir() else "not a regular file"
        raise SettingError(setting, str(file), f"must be a file, but is {kind}")
    with file.open("rb") as stream:
        head = stream.read(_PROBE_BYTES)
    lines = [line for line in head.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    if not lines:
        raise SettingError(setting, str(file), "the file is empty")
    if is_list(file):
        _check_list(setting, file)
        return
    problem = ""
    for line in lines[:_PROBE_LINES]:
        try:
            parse_row(line)
            return
        except BadRow as error:
            problem = problem or str(error)
    problem = f"neither JSONL (a JSON object per line) nor a JSON list: line 1: {problem}"
    raise SettingError(setting, str(file), problem)


def _check_list(setting: str, file: Path) -> None:
    problem = ""
    try:
        for _, element in itertools.islice(read_elements(file), _PROBE_LINES):
            try:
                parse_row(element.encode(errors="surrogateescape"))
                return
            except BadRow as error:
                problem = problem or str(error)
    except InputError as error:
        problem = str(error)
    problem = f"not a JSON list of objects: {problem or 'it is empty'}"
    raise SettingError(setting, str(file), problem)


def count_rows(file: Path) -> int:
    """Return the most rows that a file can have; raises InputError where a list is not JSON."""
    if is_list(file):
        return sum(1 for _ in read_elements(file))
    count, last = 0, b"\n"
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 22):
            count += chunk.count(b"\n")
            last = chunk[-1:]
    return count + (last != b"\n")
