"""The columns of chats, documents and preferences, as Arrow schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_models.chat.conversation import FIELDS

if TYPE_CHECKING:
    import pyarrow as pa


def chat_schema(**further: str) -> pa.Schema:
    """Return the Arrow schema of chat rows, with `further` columns by Arrow type name."""
    import pyarrow as pa

    return _schema({"messages": message_list(), "tools": pa.string()}, further)


def document_schema(**further: str) -> pa.Schema:
    """Return the Arrow schema of documents, with `further` columns by Arrow type name."""
    import pyarrow as pa

    return _schema({"text": pa.string()}, further)


def preference_schema(**further: str) -> pa.Schema:
    """Return the Arrow schema of preferences, with `further` columns by Arrow type name."""
    import pyarrow as pa

    messages = dict.fromkeys(("prompt", "chosen", "rejected"), message_list())
    return _schema({**messages, "tools": pa.string()}, further)


def message_list() -> pa.DataType:
    """Return the Arrow type of a column of messages (`conversation.FIELDS`)."""
    import pyarrow as pa

    kinds = {name: pa.string() for name in FIELDS} | {"weight": pa.float64()}
    return pa.list_(pa.struct(list(kinds.items())))


def _schema(content: dict[str, pa.DataType], further: dict[str, str]) -> pa.Schema:
    import pyarrow as pa

    columns = {"id": pa.string(), **content, "source": pa.string()}
    columns |= {name: pa.type_for_alias(kind) for name, kind in further.items()}
    return pa.schema(list(columns.items()))
