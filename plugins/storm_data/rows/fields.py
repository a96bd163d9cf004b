"""The fields of a row, with a record of which were used: unused contents are remarked on."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from typing import Any

from storm_data.rows.rendering import Renderings
from storm_exp import SettingError, did_you_mean

Names = Mapping[str, tuple[str, ...]]
"""Parts of a row by name, and the columns that may hold each, best first."""

_NAMES_AND_PLACES = """
id _id uuid idx index hash key sha __index_level_0__ index_level_0 position part file filename path
url link origin license licence split version source sources dataset dataset_name data_source subset
config provenance author annotator user generator model models model_name engine teacher created
created_at updated_at timestamp date time original_dataset original_source
"""
_TOPICS = """
category categories subcategory topic topics domain task task_name task_type task_category tag tags
language languages lang lang_code difficulty level intent keywords type
"""
_NOTES = "meta metadata info extra extra_info extras stats statistics attributes"
_JUDGEMENTS = """
score scores rating ratings reward rewards quality helpfulness correctness coherence complexity
verbosity toxicity perplexity ppl confidence likes stars
"""
_SIZES = "length len size tokens chars characters words turn turns rounds"
METADATA = frozenset(f"{_NAMES_AND_PLACES} {_TOPICS} {_NOTES}".split())
"""Fields without content to learn from: names, origins, topics, notes of programs."""
_NAME = re.compile(r"(.+_)?(ids?|uuid|hash|idx|index|timestamp|url|embedding|license|model)")
MEASURES = frozenset(f"{_JUDGEMENTS} {_SIZES}".split())
"""Fields without content to learn from if they hold numbers; words and booleans are content."""
_MEASURE = re.compile(
    r"(.+_)?(scores?|ratings?|rewards?|counts?|length|ppl|tokens)"
    r"|(num|n|scores?|ratings?|rewards?|tokens?)_.+"
)
_NUMBER = re.compile(r"|[-+]?[\d.,]+([eE][-+]?\d+)?%?")
_LONGEST_NAME = 60
_MOST_NAMES = 1000


class ChosenNames(dict[str, tuple[str, ...]]):
    """Names with columns that a setting chose, and a record of which of these any row had."""

    def __init__(self, names: Names, chosen: Mapping[str, str]) -> None:
        """Override the columns of `names` with the `chosen` ones."""
        super().__init__({**names, **{name: (column,) for name, column in chosen.items()}})
        self.chosen = frozenset(chosen.values())
        self.unseen = set(self.chosen)
        """Chosen columns that no row had so far."""
        self.columns: set[str] = set()
        """Columns of the rows so far, up to `_MOST_NAMES`."""

    def look(self, values: Mapping[str, Any]) -> None:
        """Record the columns of a row or of a part of it, while a chosen one is unseen."""
        if self.unseen:
            self.unseen -= values.keys()
            if len(self.columns) < _MOST_NAMES:
                self.columns.update(map(str, values))


class Fields:
    """The fields of a row, a message or a part of one.

    Fields returned by `get` count as used. `close` remarks on every other field with content;
    `remarks` are shared between a row and its messages.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        names: Names,
        remarks: set[str] | None = None,
        where: str = "",
        renderings: Renderings | None = None,
    ) -> None:
        """Read `values`; `where` precedes their names in remarks (`message.`).

        `renderings` recognises rendered rows of the data set.
        """
        self._values, self._names, self._where = values, names, where
        self._renderings = Renderings() if renderings is None else renderings
        if isinstance(names, ChosenNames):
            names.look(values)
        self._used: set[str] = set()
        self.remarks: set[str] = set() if remarks is None else remarks

    def get(self, *wanted: str) -> Any:
        """Return the value of the first of these names, marked as used; None without any."""
        column = self._column(wanted)
        if column is None:
            return None
        self._used.add(column)
        return self._values[column]

    def peek(self, *wanted: str) -> Any:
        """Return the same value as `get`, without marking it as used."""
        column = self._column(wanted)
        return None if column is None else self._values[column]

    def among(self, names: frozenset[str]) -> list[str]:
        """Return which of `names` are fields."""
        return sorted(names & self._values.keys())

    def used(self) -> int:
        """Return the number of used fields."""
        return len(self._used)

    def columns(self, wanted: str) -> tuple[str, ...]:
        """Return the columns that may hold the part `wanted`."""
        return self._names.get(wanted, (wanted,))

    def listing(self) -> str:
        """Return the names of the fields as text."""
        return ", ".join(map(str, self._values))[:200] or "no keys"

    def inner(self, values: Mapping[str, Any], where: str) -> Fields:
        """Return the fields of a part of the row, sharing its remarks."""
        return Fields(values, self._names, self.remarks, where, self._renderings)

    def close(self, texts: Collection[str] = ()) -> None:
        """Remark on unused fields.

        Exempt are fields that are empty or metadata, and those that repeat `texts`, which were
        read: one of them, all of them as a template renders them, or as a list of messages.
        """
        ordered = [text.strip() for text in texts if text.strip()]
        known_texts = frozenset(ordered)
        for name in self._values:
            column = str(name)
            if column in self._used or not has_content(self._values[name]):
                continue
            if _is_metadata(column.lower(), self._values[name]):
                continue
            if self._repeats(column, self._values[name], ordered, known_texts):
                continue
            shown = column[:_LONGEST_NAME]
            shown = shown if shown.isprintable() and shown else ascii(shown)
            self.remarks.add(f"unused: {self._where}{shown}")

    def _repeats(self, column: str, value: Any, ordered: Sequence[str], texts: Set[str]) -> bool:
        """Return whether a value is one of the texts, renders them all, or is a list of them."""
        if isinstance(value, str):
            alone = value.strip() in texts
            return alone or (bool(ordered) and self._renderings.holds(column, value, ordered))
        leaves = list(_leaves(value)) if isinstance(value, list) else []
        return bool(leaves) and all(leaf.strip() in texts for leaf in leaves)

    def _column(self, wanted: Collection[str]) -> str | None:
        """Return the first column with content, else the first that is not null."""
        values, names = self._values, self._names
        first = None
        for name in wanted:
            for column in names.get(name, (name,)):
                if column in values and not _missing(values[column]):
                    if has_content(values[column]):
                        return column
                    first = first or column
        return first


def choose_names(names: Names, chosen: Mapping[str, str]) -> ChosenNames:
    """Return `names` with the columns that the setting `fields` chose; raises SettingError."""
    for name, column in chosen.items():
        if name not in names:
            holds = " or ".join(key for key, columns in names.items() if name in columns)
            known = f"; a column of this name is set by fields.{holds}"
            problem = f"is no part of a row{known if holds else did_you_mean(name, names)}"
            raise SettingError("fields", name, problem)
        if not column:
            raise SettingError(f"fields.{name}", column, "must name a column")
    return ChosenNames(names, chosen)


def has_content(value: Any) -> bool:
    """Return whether a value is not empty: not null, NaN, white space, or nested lists of these."""
    if _missing(value):
        return False
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, dict):
        return any(has_content(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(has_content(inner) for inner in value)
    return True


def _missing(value: Any) -> bool:
    """Return whether a value is null, or NaN, which pandas writes for null."""
    return value is None or (isinstance(value, float) and value != value)


def _is_metadata(name: str, value: Any) -> bool:
    if name in METADATA or _NAME.fullmatch(name):
        return True
    return (name in MEASURES or bool(_MEASURE.fullmatch(name))) and _is_numeric(value)


def _is_numeric(value: Any) -> bool:
    """Return whether a value consists of numbers only; booleans are not numbers here."""
    if isinstance(value, dict):
        return all(map(_is_numeric, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_numeric, value))
    if isinstance(value, str):
        return bool(_NUMBER.fullmatch(value.strip()))
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _leaves(value: Any) -> Iterator[str]:
    """Yield the texts of messages: every string except names of speakers."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("role", "from", "type") and has_content(inner):
                yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield repr(value)
