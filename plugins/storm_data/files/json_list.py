"""The elements of a file that is one JSON list, one at a time in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from storm_exp import InputError

_READ_CHARACTERS = 1 << 20
_LONGEST_ELEMENT = 1 << 26
_HEAD = 1 << 22


def is_list(file: Path) -> bool:
    """Return whether a file holds one JSON list, by its beginning.

    A first line of complete JSON, followed by other lines, is a line of JSONL.
    """
    with file.open("rb") as stream:
        head = stream.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"["):
        return False
    first, _, rest = head.partition(b"\n")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return True
    return not rest.strip()


def read_elements(file: Path) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, text) of the elements; bytes that are not UTF-8 become surrogates.

    Raises InputError where the list is truncated or not JSON: later elements cannot be separated.
    """
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        text = _Text(file, stream)
        text.expect("[")
        number = 0
        while text.ahead() != "]":
            if number:
                text.expect(",")
            number += 1
            yield number, text.element(number)
        text.expect("]")
        if ahead := text.ahead():
            raise InputError(f"{file}: the file goes on after its list, with {ahead!r}")


class _Text:
    """The text of a file that was read and not yet consumed."""

    def __init__(self, file: Path, stream: IO[str]) -> None:
        self._file, self._stream = file, stream
        self._text, self._at = "", 0
        self._decoder = json.JSONDecoder()

    def ahead(self) -> str:
        """Return the next character that is not white space, '' at the end."""
        while True:
            while self._at < len(self._text):
                if not self._text[self._at].isspace():
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def expect(self, wanted: str) -> None:
        actual = self.ahead()
        if actual != wanted:
            shown = repr(actual) if actual else "the end of the file"
            raise InputError(f"{self._file}: not a JSON list: {shown} instead of {wanted!r}")
        self._at += 1

    def element(self, number: int) -> str:
        self.ahead()
        while True:
            try:
                end = self._decoder.raw_decode(self._text, self._at)[1]
            except (ValueError, RecursionError) as error:
                final = isinstance(error, RecursionError) or self._remaining > _LONGEST_ELEMENT
                if final or not self._more():
                    problem = f"element {number} of the list is not JSON ({error})"
                    raise InputError(f"{self._file}: {problem}") from error
                continue
            if end == len(self._text) and self._more():
                continue  # a number may continue
            text, self._at = self._text[self._at : end], end
            return text

    @property
    def _remaining(self) -> int:
        return len(self._text) - self._at

    def _more(self) -> bool:
        """Read at least as much again as remains, so that elements are decoded only a few times."""
        chunk = self._stream.read(max(_READ_CHARACTERS, self._remaining))
        self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)
