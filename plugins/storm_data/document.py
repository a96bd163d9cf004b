"""Rows that are documents: plain text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_data.chat import BadRow
from storm_data.dataset import document_schema
from storm_data.row_form import Content

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ["id", "text", "source"]

_TEXT_COLUMNS = ("text", "content")


class DocumentRows:
    """Rows that are documents: `text`."""

    def __init__(self, column: str = "") -> None:
        """Read the text from `column`; empty: from `text`, else from `content`, as StarCoder's."""
        self._columns = (column,) if column else _TEXT_COLUMNS

    def schema(self, **further: str) -> pa.Schema:
        """Return the Arrow schema, with `further` columns by Arrow type name."""
        return document_schema(**further)

    def read(self, row: dict[str, Any]) -> Content:
        """Return a row's text as it is; raises BadRow for one that is missing, empty or broken."""
        text = next((row[name] for name in self._columns if row.get(name) is not None), None)
        if text is None:
            wanted, there = " or ".join(self._columns), ", ".join(map(str, row)) or "no keys"
            raise BadRow("no text", f"no {wanted}; the row has {there}"[:200])
        if not isinstance(text, str):
            raise BadRow("malformed text", f"a {type(text).__name__}")
        if not text.strip():
            raise BadRow("empty text", f"{len(text)} characters of white space")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadRow("broken UTF-8", f"a lone surrogate at {error.start}") from error
        return Content({"text": text}, text, len(text))


def read_text(file: Path, max_characters: int) -> str:
    """Return a file's text without a byte order mark.

    Raises BadRow for what is too long, binary, or not UTF-8; no more than the limit is read.
    """
    longest = 4 * max_characters + 3
    with file.open("rb") as stream:
        data = stream.read(longest + 1)
    if len(data) > longest:
        raise BadRow("enormous", f"{file.stat().st_size} bytes")
    if b"\0" in data:
        raise BadRow("binary", "the file has NUL bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRow("broken UTF-8", f"at byte {error.start} of the file") from error
