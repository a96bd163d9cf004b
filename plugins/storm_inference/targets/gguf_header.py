"""The header of a GGUF file.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little endian.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO, Any

from storm_exp import InputError

_MAGIC = b"GGUF"
_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_FORMATS[12] = "d"
_TEXT, _LIST = 8, 9
_LONGEST = 1 << 26
"""Maximum length of a list."""


def read_gguf_header(file: Path) -> dict[str, Any]:
    """Return the values of a GGUF file, None for lists; raises InputError if it is damaged."""
    with file.open("rb") as stream:
        try:
            if stream.read(4) != _MAGIC:
                raise InputError(f"{file} is not a GGUF file")
            version, _, keys = _numbers(stream, "IQQ")
            if version not in (2, 3):
                raise InputError(f"{file} has GGUF version {version}; supported are 2 and 3")
            return {_text(stream): _value(stream, _number(stream, "I")) for _ in range(keys)}
        except (EOFError, KeyError, ValueError) as error:
            raise InputError(f"{file}: its header is damaged ({error})") from error


def _value(stream: IO[bytes], kind: int) -> Any:
    """Return a value; a list is skipped and gives None."""
    if kind == _TEXT:
        return _text(stream)
    if kind != _LIST:
        return _number(stream, _FORMATS[kind])
    inner, length = _numbers(stream, "IQ")
    if length > _LONGEST:
        raise ValueError(f"a list of {length} entries")
    if inner in _FORMATS:
        _read(stream, length * struct.calcsize(_FORMATS[inner]))
    else:
        for _ in range(length):
            _value(stream, inner)
    return None


def _text(stream: IO[bytes]) -> str:
    return _read(stream, _number(stream, "Q")).decode("utf-8", "replace")


def _number(stream: IO[bytes], form: str) -> Any:
    return _numbers(stream, form)[0]


def _numbers(stream: IO[bytes], form: str) -> tuple[Any, ...]:
    return struct.unpack(f"<{form}", _read(stream, struct.calcsize(f"<{form}")))


def _read(stream: IO[bytes], size: int) -> bytes:
    if size > _LONGEST * 8:
        raise ValueError(f"{size} bytes")
    found = stream.read(size)
    if len(found) < size:
        raise EOFError("it ends early")
    return found
