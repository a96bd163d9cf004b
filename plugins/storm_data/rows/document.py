"""Rows that are documents: plain text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_data.rows.arrow_schema import document_schema
from storm_data.rows.bad_row import BadRow
from storm_data.rows.fields import Fields, Names, choose_names
from storm_data.rows.rendering import Renderings
from storm_data.rows.row_schema import Content

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ["id", "text", "source"]

NAMES: Names = {"text": ("text", "content")}
"""The part of a document's row, and the columns that may hold it; StarCoder's is `content`."""


class DocumentRows:
    """Rows that are documents: `text`."""

    def __init__(self, fields: Mapping[str, str] | None = None) -> None:
        """Read the text from the column that `fields` name; raises SettingError."""
        self.names = choose_names(NAMES, fields or {})
        self._renderings = Renderings()

    def schema(self, **further: str) -> pa.Schema:
        """Return the Arrow schema, with `further` columns by Arrow type name."""
        return document_schema(**further)

    def read(self, row: dict[str, Any]) -> Content:
        """Return a row's text unchanged; raises BadRow for a missing, empty or malformed one."""
        fields = Fields(row, self.names, renderings=self._renderings)
        text = fields.get("text")
        if text is None:
            wanted = " or ".join(fields.columns("text"))
            raise BadRow("no text", f"no {wanted}; the row has {fields.listing()}"[:200])
        if not isinstance(text, str):
            raise BadRow("malformed text", f"a {type(text).__name__}")
        if not text.strip():
            raise BadRow("empty text", f"{len(text)} characters of white space")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadRow("broken UTF-8", f"a lone surrogate at {error.start}") from error
        fields.close([text])
        return Content({"text": text}, text, len(text), remarks=frozenset(fields.remarks))


def read_text(file: Path, max_characters: int) -> str:
    """Return a file's text without a byte order mark.

    Raises BadRow for text that is too long, binary, or not UTF-8; reads no more than the limit.
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
