"""Kinds of rows: what a data set holds, and how a row of a source becomes it."""

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
    """What a good row holds, beside its id and source."""

    columns: dict[str, Any]
    """The row's own columns."""
    identity: Any
    """A JSON value that two rows share when they are the same."""
    characters: int
    """The size of its text."""
    group: Any = None
    """A JSON value that rows share which must not be divided between splits. None: `identity`."""
    remarks: frozenset[str] = frozenset()
    """What was done about the row besides: a field that says something and was not used, an empty
    message that was left out. Rows are counted by it."""


class RowSchema(Protocol):
    """Reads rows of one kind."""

    names: ChosenNames
    """The columns that it looks for, and which of the chosen ones it met."""

    def schema(self, **further: str) -> pa.Schema:
        """Return the Arrow schema, with `further` columns by Arrow type name."""
        ...

    def read(self, row: dict[str, Any]) -> Content:
        """Return what a row holds; raises BadRow."""
        ...


def content_digest(identity: Any) -> str:
    """Return a short digest of a JSON value: the id of a row that has none."""
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
