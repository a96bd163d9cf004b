"""The schema of a kind of rows: its columns, and how rows of a source are read into them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from storm_data.rows.fields import ChosenNames


@dataclasses.dataclass(frozen=True)
class Content:
    """The content of a good row, besides its id and source."""

    columns: dict[str, Any]
    """The row's own columns."""
    identity: Any
    """A JSON value that is equal for equal rows."""
    characters: int
    """The number of characters of its texts."""
    group: Any = None
    """A JSON value that is equal for rows that must be in the same split. None: `identity`."""
    remarks: frozenset[str] = frozenset()
    """Notes on how the row was read, such as an unused field or an empty message that was left out.
    Rows are counted by remark."""


class RowSchema(Protocol):
    """Reads rows of one kind."""

    names: ChosenNames
    """The columns that it reads, and which of the chosen ones were seen."""

    def schema(self, **further: str) -> pa.Schema:
        """Return the Arrow schema, with `further` columns by Arrow type name."""
        ...

    def read(self, row: dict[str, Any]) -> Content:
        """Return a row's content; raises BadRow."""
        ...


def content_digest(identity: Any) -> str:
    """Return a short digest of a JSON value: the id of a row that has none."""
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
