"""Lines of a JSONL file, read one at a time whatever is in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storm_data.chat import BadRow
from storm_exp import SettingError

_PROBE_BYTES = 1 << 22
_PROBE_LINES = 50


def read_lines(file: Path, longest: int) -> Iterator[tuple[int, bytes, bool]]:
    """Yield (line number from 1, line, whether it is whole) without blank lines.

    A line over `longest` bytes is cut and marked, its rest skipped: one line without an end
    must not fill the memory.
    """
    with file.open("rb") as stream:
        number = 0
        while line := stream.readline(longest):
            number += 1
            whole = line.endswith(b"\n") or len(line) < longest
            rest = b"" if whole else stream.readline(longest)
            while rest and not rest.endswith(b"\n"):
                rest = stream.readline(longest)
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, line, whole


def parse_line(line: bytes) -> dict[str, Any]:
    """Return a line's JSON object; raises BadRow."""
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRow("broken UTF-8", f"at byte {error.start} of the line") from error
    except (ValueError, RecursionError) as error:
        raise BadRow("not JSON", str(error)[:200]) from error
    if not isinstance(row, dict):
        raise BadRow("not JSON", "the line is no object")
    return row


def check_jsonl(setting: str, file: Path) -> None:
    """Raise SettingError unless one of the first lines of a file is a JSON object."""
    if not file.is_file():
        what = "this is a directory" if file.is_dir() else "this is none"
        raise SettingError(setting, str(file), f"must be a file, {what}")
    with file.open("rb") as stream:
        head = stream.read(_PROBE_BYTES)
    lines = [line for line in head.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    if not lines:
        raise SettingError(setting, str(file), "the file is empty")
    problem = ""
    for line in lines[:_PROBE_LINES]:
        try:
            parse_line(line)
            return
        except BadRow as error:
            problem = problem or str(error)
    hint = ""
    if lines[0].lstrip().startswith(b"["):
        hint = "; it looks like one JSON array: write each element on a line of its own"
    problem = f"not JSONL (a JSON object per line): line 1: {problem}{hint}"
    raise SettingError(setting, str(file), problem)


def count_lines(file: Path) -> int:
    """Return the number of lines of a file, blank ones included."""
    count, last = 0, b"\n"
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 22):
            count += chunk.count(b"\n")
            last = chunk[-1:]
    return count + (last != b"\n")
