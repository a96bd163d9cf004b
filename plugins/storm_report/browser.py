"""Entries that can be filtered: by group, by which of two has the higher score, and by words."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from markupsafe import Markup

from storm_report.controls import escape_controls

_SELECT = Markup("<label>{} <select name='{}'><option value=''>{}</option>{}</select></label>\n")
_OPTION = Markup("<option value='{}'>{}</option>")
_ENTRY = Markup(
    "<details class='entry' data-group='{}' data-scores='{}'><summary>{}</summary>{}</details>\n"
)
_BROWSER = Markup(
    "<p class='note'>{}</p><div class='browser'><form hidden>{}<label>with the words "
    "<input type='search' name='words'></label>\n<output></output></form>\n{}</div>\n"
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """Something with a score for each of several models."""

    group: str
    title: str
    scores: Sequence[float | None]
    """One for each model; None where it has none."""
    html: Markup


def browser_markup(note: str, models: Sequence[str], entries: Sequence[Entry]) -> Markup:
    """Return entries, folded, with a form that filters them.

    The page's script shows the form; without scripts all entries are there.
    """
    groups = dict.fromkeys(entry.group for entry in entries)
    named = Markup().join(_OPTION.format(position, name) for position, name in enumerate(models))
    tasks = Markup().join(_OPTION.format(group, escape_controls(group)) for group in groups)
    form = _SELECT.format("task", "group", "all", tasks)
    form += _SELECT.format("higher score", "higher", "any model", named)
    form += _SELECT.format("than", "lower", "any model", named)
    shown = Markup().join(
        _ENTRY.format(
            entry.group,
            " ".join("nan" if score is None else repr(float(score)) for score in entry.scores),
            escape_controls(entry.title),
            entry.html,
        )
        for entry in entries
    )
    return _BROWSER.format(note, form, shown)
