"""The texts of a row: the messages of a chat or a preference, or a document."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from storm_data.dataset import DatasetSpec
from storm_data.decontamination.normal_form import Places, joined
from storm_exp import InputError
from storm_models.chat.conversation import plain_text

COLUMNS = ("messages", "text", "prompt", "chosen", "rejected")
"""The columns that may hold what a model is trained on."""


class RowText:
    """The texts of a row, message by message, calls of tools included."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        """Take the texts of all columns that have some."""
        self.parts = _parts(row)
        self.text = "\n".join(self.parts)
        """All of them, a line break between two."""

    @functools.cached_property
    def in_one_line(self) -> str:
        """The text as it was before it was wrapped."""
        return joined(self.text)

    @functools.cached_property
    def places(self) -> Places:
        """Where its words stand."""
        return Places(self.text)


def _parts(row: Mapping[str, Any]) -> list[str]:
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
