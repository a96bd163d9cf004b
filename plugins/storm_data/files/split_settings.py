"""Settings that all sources of rows share: which rows are bad, and how many are held out."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Self

from storm_data.rows.row_schema import RowSchema
from storm_exp import SettingError, setting

REHEARSED_ROWS = 80
"""Rows of a file that a rehearsal reads."""


@dataclasses.dataclass(kw_only=True)
class SplitSettings:
    """Settings of a component that reads rows: which are bad, and how many are held out."""

    validation_share: float = setting(0.05, at_least=0, below=1)
    """Share of the good rows to hold out, when validation_rows is 0."""

    validation_rows: int = setting(0, at_least=0)
    """Number of rows to hold out."""

    max_bad_share: float = setting(0.5, at_least=0, at_most=1)
    """Share of bad rows above which the whole source is refused."""

    max_characters: int = setting(100_000, at_least=1)
    """Characters in a conversation, or a document, above which its row is bad."""

    fields: dict[str, str] = setting({})
    """Columns of rows with unusual names, by what they hold: `{question: ask, answer: reply}`. An
    unknown name is refused with the known ones."""

    exclude: dict[str, str] = setting({})
    """Rows to leave out, by column: a regular expression that matches the column's whole text, such
    as `{task_name: ".*mmmlu.*"}`. They are counted, but not as bad."""

    seed: int = 0
    """Chooses the rows that are held out. It is independent of the run's seed, so that models of
    different seeds are evaluated on the same rows, and no row is judged again for another seed."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        for column, pattern in self.exclude.items():
            try:
                re.compile(pattern)
            except (re.error, OverflowError, RecursionError) as error:
                problem = f"must be a regular expression ({error})"
                raise SettingError(f"exclude.{column}", pattern, problem) from error
        self.check_fields()

    def check_fields(self) -> None:
        """Raise SettingError for an unknown name in `fields`."""
        self.row_schema(self.fields)

    def row_schema(self, fields: Mapping[str, str]) -> RowSchema:
        """Return the schema of rows whose columns `fields` name; raises SettingError."""
        raise NotImplementedError

    def splits(self, rows: int) -> dict[str, list[int]]:
        """Return the splits' sizes for `rows` rows as intervals: bad rows are not yet known."""
        held_out = validation_count(rows, self.validation_share, self.validation_rows)
        least = self.validation_rows
        return {
            "train": [1, rows - least],
            "validation": [least, held_out],
            "rejected": [0, rows - 1],
        }


@dataclasses.dataclass(kw_only=True)
class ExcerptSettings(SplitSettings):
    """SplitSettings of a component that reads the user's files."""

    limit: int | None = setting(None, neutral=None, at_least=1, unit="rows")
    """The number of rows to read, from the first on; null reads all."""

    def rehearsal(self) -> Self:
        """Return a copy that reads the first rows only."""
        rows = min(REHEARSED_ROWS, self.limit or REHEARSED_ROWS)
        held_out = min(self.validation_rows, rows // 10)
        return dataclasses.replace(self, limit=rows, validation_rows=held_out)

    def not_rehearsed(self) -> list[str]:
        """Return what a rehearsal with the first rows does not test."""
        return [f"the data: rows after the first {REHEARSED_ROWS}"]


def validation_count(good: int, share: float, rows: int) -> int:
    """Return how many of `good` rows to hold out: `rows`, else a share, of at least one row."""
    if rows:
        return rows
    return max(1, round(share * good)) if share > 0 and good > 1 else 0


def grouped_splits(splits: dict[str, list[int]], rows: int) -> dict[str, list[int]]:
    """Return `splits` with intervals widened for groups that are held out whole or not at all."""
    return {**splits, "train": [1, rows], "validation": [0, splits["validation"][1]]}
