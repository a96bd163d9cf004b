"""The rows that a token set left out, with their reasons and their contents."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from storm_data.dataset import Dataset
from storm_data.look.row_examples import RowExamples
from storm_report.look.listing import Example
from storm_report.look.view import Subject
from storm_training.data.token_set import TokenSet

_AT_ONCE = 200
"""Rows that are looked up in the data set by one reading of it."""


def left_out_rows(subject: Subject, split: str) -> Iterator[Example]:
    """Yield the rows of a split that could not become examples, those of a mixture's parts too.

    The contents are those of the data set, if it is still in the store.
    """
    parts = TokenSet(subject.place).content()["parts"]
    sources = [subject.neighbour(f"part {n}", key) for n, key in enumerate(parts, start=1)]
    numbered = itertools.count(1)
    for source in sources if parts else [subject]:
        if source is None:
            continue
        listed = _listed(source, split)
        while some := list(itertools.islice(listed, _AT_ONCE)):
            contents = _contents(source, split, {entry["id"] for entry in some})
            for entry in some:
                row = contents.get(entry["id"], {"id": entry["id"]})
                yield RowExamples().example(row, next(numbered), entry["reason"])


def _listed(source: Subject, split: str) -> Iterator[dict[str, str]]:
    file = source.place / f"{split}.dropped.jsonl"
    if file.is_file():
        with file.open(encoding="utf-8") as stream:
            yield from map(json.loads, stream)


def _contents(source: Subject, split: str, ids: set[str]) -> dict[str, dict[str, Any]]:
    """Return the rows of the source's data set that have one of the ids."""
    data = source.input("data")
    if data is None or not Dataset(data.place).count(split):
        return {}
    found: dict[str, dict[str, Any]] = {}
    for row in Dataset(data.place).rows(split):
        if row["id"] in ids:
            found[row["id"]] = row
            if len(found) == len(ids):
                break
    return found
