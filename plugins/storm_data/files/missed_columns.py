"""Columns that settings name and no row has, usually by a misspelling."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from storm_data.rows.fields import ChosenNames
from storm_exp import did_you_mean

if TYPE_CHECKING:
    from storm_data.files.split_settings import SplitSettings


def missed_columns(
    settings: SplitSettings, names: Collection[ChosenNames], seen: Collection[str]
) -> list[tuple[str, str, str]]:
    """Return (setting, value, problem) of every column of `fields` and `exclude` that no row had.

    `names` are those of the schemas that read rows, `seen` the rows' columns. Nothing is reported
    where no row was read.
    """
    if not seen:
        return []
    known = {*seen, *(name for reader in names for name in reader.columns)}
    missed = []
    for name, column in settings.fields.items():
        readers = [reader for reader in names if column in reader.chosen]
        if readers and all(column in reader.unseen for reader in readers):
            missed.append((f"fields.{name}", column, _problem(column, known)))
    for column, pattern in settings.exclude.items():
        if column not in seen:
            missed.append((f"exclude.{column}", pattern, _problem(column, known)))
    return missed


def _problem(column: str, known: Collection[str]) -> str:
    return f"no row has a column {column!r}{did_you_mean(column, known)}"
