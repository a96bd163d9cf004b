"""Checks of finished data sets: Parquet files, one per split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_data.dataset import SPLITS, Dataset
from storm_data.rows.arrow_schema import chat_schema, document_schema, preference_schema
from storm_exp import InputError
from storm_models.chat.conversation import FIELDS, Conversation

if TYPE_CHECKING:
    import pyarrow as pa

_USED = ("train", "validation")
_OPTIONAL = ", optionally with tool_calls (JSON), name and tool_call_id: string, weight: double"


def check_schemas(data: Dataset) -> None:
    """Raise InputError unless the splits hold chats, documents or preferences, by their footers."""
    import pyarrow.parquet as pq

    splits = data.splits()
    unknown = [name for name in splits if name not in SPLITS]
    if "train" not in splits or unknown:
        listed = ", ".join(f"{name}.parquet" for name in splits) or "no Parquet file"
        raise InputError(
            f"{data.directory}: expected train.parquet, and optionally validation.parquet and "
            f"rejected.parquet; it has {listed}"
        )
    for split in _USED:
        if split in splits:
            file = data.directory / f"{split}.parquet"
            try:
                _check_schema(str(file), pq.read_schema(file))
            except (OSError, ValueError) as error:
                raise InputError(f"{file}: not Parquet ({error})") from error


def check_rows(data: Dataset) -> None:
    """Raise InputError for a row without content or without a unique id."""
    import pyarrow.parquet as pq

    seen: set[str] = set()
    for split in _USED:
        if split not in data.splits():
            continue
        columns = _contents(pq.read_schema(data.directory / f"{split}.parquet"))
        for number, row in enumerate(data.rows(split), start=1):
            where = f"{data.directory}/{split}.parquet, row {number}"
            empty = [name for name in ("id", *columns) if not row[name]]
            for name in columns if not empty and columns != ["text"] else ():
                Conversation.of(row, name)
            if empty:
                raise InputError(f"{where}: '{empty[0]}' is empty")
            if row["id"] in seen:
                raise InputError(f"{where}: an earlier row has the id {row['id']!r}")
            seen.add(row["id"])


def _contents(schema: pa.Schema) -> list[str]:
    """Return the columns that hold the text to learn from."""
    kinds = (chat_schema(), document_schema(), preference_schema())
    for kind in kinds:
        names = [name for name in kind.names if name not in ("id", "source", "tools")]
        if set(names) <= set(schema.names):
            return names
    return []


def _check_schema(file: str, schema: pa.Schema) -> None:
    import pyarrow as pa

    contents = _contents(schema)
    if not contents:
        raise InputError(
            f"{file}: the columns are {', '.join(schema.names)}; expected `messages` (chats), "
            "`text` (documents), or `prompt`, `chosen` and `rejected` (preferences)"
        )
    for name in ("id", "source", *contents):
        text = name in ("id", "source", "text")
        wanted = "string" if text else f"list of {{role: string, content: string}}{_OPTIONAL}"
        if name not in schema.names:
            raise InputError(f"{file}: no column '{name}' ({wanted})")
        kind = schema.field(name).type
        if not (_is_text(kind) if text else _is_messages(kind)):
            raise InputError(f"{file}: the column '{name}' is {kind}, expected {wanted}")
    if "tools" in schema.names and contents != ["text"]:
        kind = schema.field("tools").type
        if not (_is_text(kind) or pa.types.is_null(kind)):
            raise InputError(f"{file}: the column 'tools' is {kind}, expected string (JSON)")


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_messages(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    message = kind.value_type
    if not pa.types.is_struct(message):
        return False
    kinds = {field.name: field.type for field in message}
    if not {"role", "content"} <= set(kinds) <= set(FIELDS):
        return False
    weight = kinds.pop("weight", pa.null())
    optional = (kinds.pop(name, pa.null()) for name in FIELDS[2:])
    return (
        all(_is_text(field_kind) for field_kind in kinds.values())
        and all(_is_text(field_kind) or pa.types.is_null(field_kind) for field_kind in optional)
        and bool(pa.types.is_floating(weight) or pa.types.is_null(weight))
    )
