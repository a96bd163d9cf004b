"""Limits and shares that the data set components have in common."""

from __future__ import annotations

from storm_exp import SettingError


def check_split(share: float, rows: int) -> None:
    """Raise SettingError for a validation split that cannot be."""
    if not 0 <= share < 1:
        raise SettingError("validation_share", share, "must be at least 0 and less than 1")
    if rows < 0:
        raise SettingError("validation_rows", rows, "must not be negative")


def check_limits(max_bad_share: float, max_characters: int) -> None:
    """Raise SettingError for limits that cannot be."""
    if not 0 <= max_bad_share <= 1:
        raise SettingError("max_bad_share", max_bad_share, "must lie between 0 and 1")
    if max_characters < 1:
        raise SettingError("max_characters", max_characters, "must be positive")


def validation_count(good: int, share: float, rows: int) -> int:
    """Return how many of `good` rows are held out: `rows`, or a share of at least one row."""
    if rows:
        return rows
    return max(1, round(share * good)) if share > 0 and good > 1 else 0
