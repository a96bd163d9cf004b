"""The texts of a row: the messages of a chat or a preference, or a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storm_data.dataset import DatasetSpec
from storm_exp import InputError
from storm_models.chat.conversation import plain_text

COLUMNS = ("messages", "text", "prompt", "chosen", "rejected")
"""The columns that may hold what a model is trained on."""


def row_texts(row: Mapping[str, Any]) -> list[str]:
    """Return the texts of a row, message by message, calls of tools included."""
    texts: list[str] = []
    for column in COLUMNS:
        value = row.get(column)
        if isinstance(value, str):
            texts.append(value)
        elif value:
            texts += [plain_text(message) for message in value]
    return texts


def check_columns(data: DatasetSpec) -> None:
    """Raise InputError for rows without any text that could be searched."""
    if data.columns and not set(COLUMNS) & set(data.columns):
        raise InputError(
            f"the rows have the columns {', '.join(data.columns)}, and none of "
            f"{', '.join(COLUMNS)}: there is no text to search"
        )
