"""Checking on the hub whether a data set can be read: its files, splits and first rows."""

from __future__ import annotations

from typing import Any

from storm_data.rows.bad_row import BadRow
from storm_data.rows.row_schema import RowSchema
from storm_exp import SettingError, did_you_mean
from storm_models.sources.hub_lookup import look_up_repository, look_up_rows


def look_up_source(
    setting: str,
    place: str,
    revision: str,
    *,
    patterns: list[str],
    splits: list[str],
    schema: RowSchema,
) -> str:
    """Return a summary of the repository `place`, which `setting` names.

    `splits` is empty where files are named instead. Raises SettingError where no file, no split or
    none of the first rows can be read, InputError for a repository that does not exist or that this
    user has no access to, OSError without an answer.
    """
    repository = look_up_repository(place, revision, "dataset")
    files = repository.matching(patterns)
    if not files:
        raise SettingError(setting, place, f"holds no file like {' or '.join(patterns)}")
    size = sum(map(repository.sizes.__getitem__, files)) / 1e9
    summary = f"{repository.summary()}: {size:.1f} GB"
    known = look_up_rows(place)
    if known is None:
        return f"{summary}; splits and columns not checked (the hub's viewer does not know it)"
    configuration = "default" if "default" in known.splits else next(iter(known.splits))
    available = known.splits[configuration]
    for split in splits or available[:1]:
        if split not in available:
            suggestion = did_you_mean(split, available)
            raise SettingError(setting, place, f"the data set has no split '{split}'{suggestion}")
        rows = known.first(place, configuration, split)
        summary += f"; {split}: {_check_rows(setting, place, schema, rows)}"
    return summary


def _check_rows(
    setting: str, place: str, schema: RowSchema, rows: list[dict[str, Any]] | None
) -> str:
    """Return how many rows can be used; raises SettingError when none can."""
    if not rows:
        return "not checked"
    problems = []
    for row in rows:
        try:
            schema.read({column: without_nulls(value) for column, value in row.items()})
        except BadRow as problem:
            problems.append(str(problem))
    if len(problems) == len(rows):
        raise SettingError(
            setting,
            place,
            f"none of its first {len(rows)} rows can be used: {problems[0]} (columns: "
            f"{', '.join(rows[0])})",
        )
    return f"{len(rows) - len(problems)} of the first {len(rows)} rows can be used"


def without_nulls(value: Any) -> Any:
    """Return a value without the null fields of nested objects.

    Arrow gives every object of a column the fields of all of them, so that a tool would have every
    other tool's parameters.
    """
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value
