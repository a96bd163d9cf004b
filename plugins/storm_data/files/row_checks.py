"""The checks that every row of a source passes, or is rejected by with a reason."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from storm_data.files.funnel import DUPLICATE, EXCLUDED
from storm_data.files.split_settings import SplitSettings
from storm_data.rows.bad_row import BadRow
from storm_data.rows.row_schema import Content, RowSchema

_MOST_COLUMNS = 1000


class RowChecks:
    """Checks rows one by one, and knows the ids and contents of those before."""

    def __init__(self, settings: SplitSettings) -> None:
        """Check rows as the settings of their source say."""
        self._exclude = {name: re.compile(text) for name, text in settings.exclude.items()}
        self._max_characters = settings.max_characters
        self._known: set[bytes] = set()
        self.seen: set[str] = set()
        """Columns of rows: up to `_MOST_COLUMNS`, and all that rows are excluded by."""

    def read(self, row: dict[str, Any], schema: RowSchema) -> Content:
        """Return a row's content; raises BadRow for one that is excluded, malformed or enormous."""
        self._check_excluded(row)
        try:
            content = schema.read(row)
        except RecursionError as error:
            raise BadRow("malformed row", "nested too deeply") from error
        if content.characters > self._max_characters:
            raise BadRow("enormous", f"{content.characters} characters")
        return content

    def name(self, row: dict[str, Any], digest: str) -> str:
        """Return the row's id, the digest of its content if it has none.

        Raises BadRow if an earlier row had the same content or the same id.
        """
        name = row_id(row) or digest
        id_key, content_key = (
            hashlib.sha256(text.encode(errors="replace")).digest()[:16]
            for text in (f"id {name}", f"content {digest}")
        )
        if content_key in self._known:
            raise BadRow(DUPLICATE, "an earlier row has the same content")
        if id_key in self._known:
            raise BadRow("id given twice", f"an earlier row of other content has {name}"[:200])
        self._known.update((id_key, content_key))
        return name

    def _check_excluded(self, row: dict[str, Any]) -> None:
        self.seen.update(row if len(self.seen) < _MOST_COLUMNS else row.keys() & self._exclude)
        for name, pattern in self._exclude.items():
            if name not in row:
                continue
            if isinstance(row[name], str | int) and pattern.fullmatch(str(row[name])):
                raise BadRow(f"{EXCLUDED}{name}", f"{row[name]} matches {pattern.pattern}"[:200])


def row_id(row: dict[str, Any]) -> str | None:
    """Return the id that a row states, None if it states none that can be used."""
    value = row.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return str(value).encode(errors="replace").decode()
