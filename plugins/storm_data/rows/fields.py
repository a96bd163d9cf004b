"""The fields of a row, and which of them were used: what a row says is never dropped unsaid."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from typing import Any

from storm_data.rows.rendering import Renderings
from storm_exp import SettingError, did_you_mean

Names = Mapping[str, tuple[str, ...]]
"""What a reading looks for, by its name, and the columns that may hold it, best first."""

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
WITHOUT_MEANING = frozenset(f"{_NAMES_AND_PLACES} {_TOPICS} {_NOTES}".split())
"""Fields that say nothing to learn from: names, origins, topics, notes of a machine."""
_NAME = re.compile(r"(.+_)?(ids?|uuid|hash|idx|index|timestamp|url|embedding|license|model)")
MEASURES = frozenset(f"{_JUDGEMENTS} {_SIZES}".split())
"""Fields that say nothing to learn from where they hold numbers; words and verdicts are said."""
_MEASURE = re.compile(
    r"(.+_)?(scores?|ratings?|rewards?|counts?|length|ppl|tokens)"
    r"|(num|n|scores?|ratings?|rewards?|tokens?)_.+"
)
_NUMBER = re.compile(r"|[-+]?[\d.,]+([eE][-+]?\d+)?%?")
_LONGEST_NAME = 60
_MOST_NAMES = 1000


class ChosenNames(dict[str, tuple[str, ...]]):
    """Names of which a setting chose columns: it notes which of these some row had."""

    def __init__(self, names: Names, chosen: Mapping[str, str]) -> None:
        """Take `names`, with the columns that were chosen."""
        super().__init__({**names, **{name: (column,) for name, column in chosen.items()}})
        self.chosen = frozenset(chosen.values())
        self.unseen = set(self.chosen)
        """Chosen columns that nothing had so far."""
        self.there: set[str] = set()
        """Columns that were there, many of them."""

    def look(self, values: Mapping[str, Any]) -> None:
        """Note the columns of a row, or of something inside, while one is missed."""
        if self.unseen:
            self.unseen -= values.keys()
            if len(self.there) < _MOST_NAMES:
                self.there.update(map(str, values))


class Fields:
    """The fields of a row, a message or a part of one.

    What a reading asks for counts as used. `close` remarks on every other field that says
    something; `remarks` are shared with the row that a message belongs to.
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

        `renderings` knows how the rows of a data set are rendered.
        """
        self._values, self._names, self._where = values, names, where
        self._renderings = Renderings() if renderings is None else renderings
        if isinstance(names, ChosenNames):
            names.look(values)
        self._used: set[str] = set()
        self.remarks: set[str] = set() if remarks is None else remarks

    def get(self, *wanted: str) -> Any:
        """Return what is there under the first of these names, None without any: it is used."""
        column = self._column(wanted)
        if column is None:
            return None
        self._used.add(column)
        return self._values[column]

    def peek(self, *wanted: str) -> Any:
        """Return what `get` would, without using it."""
        column = self._column(wanted)
        return None if column is None else self._values[column]

    def among(self, names: frozenset[str]) -> list[str]:
        """Return which of these are names of fields."""
        return sorted(names & self._values.keys())

    def used(self) -> int:
        """Return how many fields were used."""
        return len(self._used)

    def columns(self, wanted: str) -> tuple[str, ...]:
        """Return the columns that may hold something."""
        return self._names.get(wanted, (wanted,))

    def there(self) -> str:
        """Return the names of the fields, for people."""
        return ", ".join(map(str, self._values))[:200] or "no keys"

    def inner(self, values: Mapping[str, Any], where: str) -> Fields:
        """Return the fields of something inside, whose remarks are the row's."""
        return Fields(values, self._names, self.remarks, where, self._renderings)

    def close(self, said: Collection[str] = ()) -> None:
        """Remark on what was not used.

        Nothing is said of fields that are empty or without meaning, and of those that repeat
        `said`, the texts that were read: one of them, all as a template renders them, or as a list
        of messages.
        """
        ordered = [text.strip() for text in said if text.strip()]
        known_texts = frozenset(ordered)
        for name in self._values:
            column = str(name)
            if column in self._used or not says_something(self._values[name]):
                continue
            if _is_without_meaning(column.lower(), self._values[name]):
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
        values, names = self._values, self._names
        for name in wanted:
            for column in names.get(name, (name,)):
                if column in values and not _missing(values[column]):
                    return column
        return None


def named(names: Names, chosen: Mapping[str, str]) -> ChosenNames:
    """Return `names` with the columns that the setting `fields` chose; raises SettingError."""
    for name, column in chosen.items():
        if name not in names:
            holds = " or ".join(key for key, columns in names.items() if name in columns)
            known = f"; what a column of this name holds is called {holds}"
            problem = f"is nothing that a row holds{known if holds else did_you_mean(name, names)}"
            raise SettingError("fields", name, problem)
        if not column:
            raise SettingError(f"fields.{name}", column, "must name a column")
    return ChosenNames(names, chosen)


def says_something(value: Any) -> bool:
    """Return whether a value is more than nothing: null, NaN, white space, empty lists of it."""
    if _missing(value):
        return False
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, dict):
        return any(says_something(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(says_something(inner) for inner in value)
    return True


def _missing(value: Any) -> bool:
    """Null, or NaN: what pandas writes where nothing is."""
    return value is None or (isinstance(value, float) and value != value)


def _is_without_meaning(name: str, value: Any) -> bool:
    if name in WITHOUT_MEANING or _NAME.fullmatch(name):
        return True
    return (name in MEASURES or bool(_MEASURE.fullmatch(name))) and _is_measured(value)


def _is_measured(value: Any) -> bool:
    """Return whether a value is a number, or nothing but numbers. A verdict is none."""
    if isinstance(value, dict):
        return all(map(_is_measured, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_measured, value))
    if isinstance(value, str):
        return bool(_NUMBER.fullmatch(value.strip()))
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _leaves(value: Any) -> Iterator[str]:
    """Yield the texts of messages: every string that is no name of a speaker."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("role", "from", "type") and says_something(inner):
                yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield repr(value)
