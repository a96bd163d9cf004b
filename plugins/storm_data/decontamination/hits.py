"""The hits of a search: which row holds which question, in what form, and where."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from storm_data.decontamination.normal_form import joined
from storm_data.decontamination.row_text import RowText
from storm_data.questions.questions import Question

FILE, SUMMARY = "hits.jsonl", "decontamination.json"

VERBATIM = "verbatim"
EMBEDDED = "within a longer text"
REWRAPPED = "with other white space"
RESPELLED = "with other case or punctuation"
PARTLY = "in part"
FORMS = (VERBATIM, EMBEDDED, REWRAPPED, RESPELLED, PARTLY)
"""How a row holds a question; only in the last are words missing or others."""

_MOST_CHARACTERS = 600


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hit:
    """A question that a row holds."""

    row: str
    """The row's id."""
    number: int
    """The row's number in the split, from 0."""
    question: str
    """The question's id."""
    task: str
    share: float
    """The share of the question's n-grams, 0 to 1."""
    form: str
    """One of FORMS."""
    start: int
    """Where the matching span begins in the row's texts, which are joined by line breaks."""
    end: int
    span: str
    """The matching span, at most 600 characters of it."""
    asked: str
    """The question's text, at most 600 characters of it."""


def make_hit(
    row: str,
    number: int,
    held_by: RowText,
    question: Question,
    share: float,
    words: tuple[int, int],
) -> Hit:
    """Return the hit of a question in a row; `words` are the numbers of the matching words."""
    start, end = held_by.places.excerpt(*words)
    return Hit(
        row=row,
        number=number,
        question=question.id,
        task=question.task,
        share=round(share, 6),
        form=_form(held_by, question.text.strip()) if share >= 1 else PARTLY,
        start=start,
        end=end,
        span=_shorten(held_by.text[start:end]),
        asked=_shorten(question.text),
    )


def _form(held_by: RowText, asked: str) -> str:
    """Return in what form a row holds a question of which all n-grams are there."""
    if any(part.strip() == asked for part in held_by.parts):
        return VERBATIM
    if asked in held_by.text:
        return EMBEDDED
    return REWRAPPED if joined(asked) in held_by.in_one_line else RESPELLED


def _shorten(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def write_hits(directory: Path, hits: Iterable[Hit]) -> Iterator[Hit]:
    """Write hits, a line each, and yield them again."""
    with (directory / FILE).open("w", encoding="utf-8") as stream:
        for hit in hits:
            stream.write(json.dumps(dataclasses.asdict(hit), ensure_ascii=False) + "\n")
            yield hit


def read_hits(directory: Path) -> Iterator[Hit]:
    """Yield the hits that a decontaminator's data set keeps."""
    with (directory / FILE).open(encoding="utf-8") as stream:
        for line in stream:
            yield Hit(**json.loads(line))
