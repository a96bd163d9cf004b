"""Asking the hub whether a data set can be read as it is to be: files, splits, first rows."""

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
    form: RowSchema,
) -> str:
    """Return what was found of the repository `place`, which `setting` names.

    No `splits` are looked for where files are named instead. Raises SettingError where no file, no
    split or none of the first rows can be read, InputError for a repository that is not there or
    closed, OSError when nobody answers.
    """
    found = look_up_repository(place, revision, "dataset")
    files = found.matching(patterns)
    if not files:
        raise SettingError(setting, place, f"holds no file like {' or '.join(patterns)}")
    said = f"{found.summary()}: {sum(map(found.sizes.__getitem__, files)) / 1e9:.1f} GB"
    known = look_up_rows(place)
    if known is None:
        return f"{said}; splits and columns not checked (the hub's viewer does not know it)"
    configuration = "default" if "default" in known.splits else next(iter(known.splits))
    there = known.splits[configuration]
    for split in splits or there[:1]:
        if split not in there:
            near = did_you_mean(split, there)
            raise SettingError(setting, place, f"the data set has no split '{split}'{near}")
        rows = known.first(place, configuration, split)
        said += f"; {split}: {_try(setting, place, form, rows)}"
    return said


def _try(setting: str, place: str, form: RowSchema, rows: list[dict[str, Any]] | None) -> str:
    """Read rows as the run will; raises SettingError when none of them can be used."""
    if not rows:
        return "not checked"
    problems = []
    for row in rows:
        try:
            form.read({column: without_nulls(value) for column, value in row.items()})
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
    """Leave out the fields of nested objects that are null.

    In a column of objects Arrow gives each the fields of all, so that a tool would have every other
    tool's parameters.
    """
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value
