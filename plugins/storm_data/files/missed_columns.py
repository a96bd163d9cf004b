"""Columns that settings name and no row has: misspelt, as a rule, and without effect."""

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

    `names` are those of the forms that read rows, `seen` the rows' own columns; nothing is missed
    where nothing was seen, as in a file of which no line is a row.
    """
    if not seen:
        return []
    there = {*seen, *(name for each in names for name in each.there)}
    missed = []
    for name, column in settings.fields.items():
        told = [each for each in names if column in each.chosen]
        if told and all(column in each.unseen for each in told):
            missed.append((f"fields.{name}", column, _problem(column, there)))
    for column, pattern in settings.exclude.items():
        if column not in seen:
            missed.append((f"exclude.{column}", pattern, _problem(column, there)))
    return missed


def _problem(column: str, there: Collection[str]) -> str:
    return f"no row has a column {column!r}{did_you_mean(column, there)}"
