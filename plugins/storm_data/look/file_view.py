"""The view of files of rows, read and checked as the components of data sets do it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from storm_data.files.jsonl import check_jsonl
from storm_data.files.row_checks import RowChecks, row_id
from storm_data.look.dataset_view import rejected
from storm_data.look.row_examples import RowExamples
from storm_data.rows.bad_row import BadRow
from storm_data.rows.chat import NAMES as CHAT_NAMES
from storm_data.rows.document import NAMES as DOCUMENT_NAMES
from storm_data.rows.row_schema import content_digest
from storm_data.sources.chat_jsonl import ChatJsonl
from storm_data.sources.jsonl_source import decoded, parsed_rows
from storm_data.sources.preference_jsonl import PreferenceJsonl
from storm_data.sources.source_lookup import without_nulls
from storm_data.sources.text_documents import TextDocuments
from storm_exp import InputError
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_report.look.listing import Example, Listing
from storm_report.look.view import Choice, Subject

_PARQUET, _JSON = ".parquet", (".jsonl", ".json")
_PROBED = 50
"""Rows by whose columns the kind of a file is told."""
_CHATS = {column for part in ("messages", "conversations", "answer") for column in CHAT_NAMES[part]}

Source = ChatJsonl | PreferenceJsonl | TextDocuments
Raw = tuple[int, str, dict[str, Any] | BadRow]
"""The number of a row, counted from 1, its text, and its columns or why it has none."""


class FileView:
    """Shows the rows of a file that a data set would have, or those that it would reject."""

    together = False

    def opens(self, place: Path) -> bool:
        """Return whether it is a file of rows, by its suffix."""
        return place.is_file() and place.suffix in (_PARQUET, *_JSON)

    def show(self, subjects: Sequence[Subject], choice: Choice) -> Listing:
        """Return the listing of the file; raises InputError for one without rows."""
        (subject,) = subjects
        file = subject.place
        if file.suffix != _PARQUET:
            check_jsonl("file", file)
        rows = RowExamples(Checkpoint(choice.model.place) if choice.model else None)
        source, kind = _source(file)
        examples = _examples(file, source, rows, dropped=choice.dropped)
        what = "rows that are rejected" if choice.dropped else "rows"
        return Listing(
            f"{subject.name} · {what}",
            [f"read as {kind}, with its settings at their defaults"],
            itertools.islice(examples, choice.first, None),
            legend="" if choice.dropped else rows.legend,
        )


def _examples(file: Path, source: Source, rows: RowExamples, *, dropped: bool) -> Iterator[Example]:
    """Yield the good rows of a file, or the bad ones, as the component `source` tells them."""
    checks, schema = RowChecks(source), source.row_schema({})
    for number, text, row in _raw_rows(file, source.max_characters):
        try:
            if isinstance(row, BadRow):
                raise row
            content = checks.read(row, schema)
            name = checks.name(row, content_digest(content.identity))
        except BadRow as error:
            if dropped:
                bad = {"id": row_id(row)} if isinstance(row, dict) else {}
                bad |= {"reason": error.reason, "detail": error.detail, "text": text}
                yield rejected(bad, rows, number)
            continue
        if not dropped:
            yield rows.example({**content.columns, "id": name, "source": row.get("source")}, number)


def _raw_rows(file: Path, max_characters: int) -> Iterator[Raw]:
    if file.suffix == _PARQUET:
        for number, row in enumerate(_table_rows(file), start=1):
            yield number, json.dumps(row, ensure_ascii=False, default=str), row
    else:
        for number, line, parsed in parsed_rows(file, max_characters):
            yield number, decoded(line), parsed


def _table_rows(file: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as reader:
            for batch in reader.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    yield {column: without_nulls(value) for column, value in row.items()}
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not Parquet ({error})") from error


def _source(file: Path) -> tuple[Source, str]:
    """Return the component that reads such rows, by their columns, and its kind and name."""
    columns: set[str] = set()
    for _, _, row in itertools.islice(_raw_rows(file, TextDocuments.max_characters), _PROBED):
        columns.update(() if isinstance(row, BadRow) else row)
    if {"chosen", "rejected"} <= columns:
        return PreferenceJsonl(path=str(file)), "preferences (preference_jsonl)"
    if columns & {*DOCUMENT_NAMES["text"]} and not columns & _CHATS:
        return TextDocuments(path=str(file)), "documents (text_documents)"
    return ChatJsonl(path=str(file)), "chats (chat_jsonl)"
