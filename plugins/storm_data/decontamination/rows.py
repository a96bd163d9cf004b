"""Searching the rows of a data set for questions, and writing those without, or all of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Iterator

from storm_data.dataset import Dataset
from storm_data.decontamination.hits import FORMS, SUMMARY, Hit, make_hit, write_hits
from storm_data.decontamination.ngram_index import NgramIndex
from storm_data.decontamination.row_text import RowText
from storm_data.decontamination.search import Limits, search
from storm_exp import InputError, StageContext

_ROWS = 2048
"""Rows that are read and searched at once."""
_NAMED = 100
"""The most questions that are named of those that cannot be found."""


def decontaminate(
    stage: StageContext, data: Dataset, index: NgramIndex, limits: Limits, mark: str
) -> Dataset:
    """Write the rows that hold no question, and what was found.

    With `mark`, the name of a column, all rows are kept, and the column names the tasks whose
    questions they hold. Raises InputError when no row is left.
    """
    touched: dict[int, list[str]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    rows_of: dict[str, set[int]] = {}
    asked_of: dict[str, set[str]] = {}
    for hit in write_hits(stage.directory, _hits(stage, data, index, limits)):
        tasks = touched.setdefault(hit.number, [])
        if hit.task not in tasks:
            tasks.append(hit.task)
        counts[hit.task, hit.form] += 1
        rows_of.setdefault(hit.task, set()).add(hit.number)
        asked_of.setdefault(hit.task, set()).add(hit.question)
    read = data.count("train")
    if not mark and len(touched) == read:
        raise InputError(
            f"no row is left of {read}: each holds a question; touched=mark keeps them, a larger "
            f"share than {limits.share:g} finds less"
        )
    made = _write(stage, data, touched, mark)
    of_task = Counter(question.task for question in index.questions)
    left_out = {why: some for why, some in index.left_out.items() if some}
    content = {
        "n": index.n,
        "share": limits.share,
        "least": limits.least,
        "marked": bool(mark),
        "rows": read,
        "touched": len(touched),
        "questions": len(index.questions),
        "longest": index.longest,
        "template_ngrams": index.template_ngrams,
        "tasks": {
            task: {
                "questions": of_task[task],
                "searched": of_task[task]
                - sum(q.task == task for some in left_out.values() for q in some),
                "touched": len(asked_of.get(task, ())),
                "rows": len(rows_of.get(task, ())),
                "forms": {form: counts[task, form] for form in FORMS if counts[task, form]},
            }
            for task in of_task
        },
        "not_searched": {
            why: {"questions": len(some), "ids": [q.id for q in some[:_NAMED]]}
            for why, some in left_out.items()
        },
    }
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (stage.directory / SUMMARY).write_text(text, encoding="utf-8")
    _tell(stage, index, len(touched), sum(map(len, asked_of.values())), read)
    return made


def _hits(stage: StageContext, data: Dataset, index: NgramIndex, limits: Limits) -> Iterator[Hit]:
    """Yield the hits of the split `train`, row by row."""
    rows, start = data.rows("train"), 0
    with stage.progress(data.count("train"), "rows", "searching") as bar:
        while chunk := list(itertools.islice(rows, _ROWS)):
            texts = [RowText(row) for row in chunk]
            for match in search(index, [each.text for each in texts], limits):
                row, question = chunk[match.text], index.questions[match.question]
                yield make_hit(
                    str(row.get("id") or start + match.text),
                    start + match.text,
                    texts[match.text],
                    question,
                    match.share,
                    (match.first, match.end),
                )
            start += len(chunk)
            bar.advance(len(chunk))


def _write(stage: StageContext, data: Dataset, touched: dict[int, list[str]], mark: str) -> Dataset:
    """Write the splits in the order of the data, with its columns."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    source = pq.ParquetFile(data.directory / "train.parquet")
    schema = source.schema_arrow
    if "reason" in schema.names:
        schema = schema.remove(schema.get_field_index("reason"))
    extra = mark or "reason"
    wide = schema.append(pa.field(extra, pa.string()))
    kinds = {"train": wide} if mark else {"train": schema, "rejected": wide}
    writers = {
        name: pq.ParquetWriter(stage.directory / f"{name}.parquet", kind, compression="zstd")
        for name, kind in kinds.items()
    }
    with source, contextlib.ExitStack() as stack:
        for writer in writers.values():
            stack.enter_context(writer)
        start = 0
        for batch in source.iter_batches(batch_size=_ROWS, columns=schema.names):
            tasks = [touched.get(start + number) for number in range(len(batch))]
            start += len(batch)
            listed = [", ".join(names) if names else None for names in tasks]
            if mark:
                column = pa.array(listed, pa.string())
                full = pa.RecordBatch.from_arrays([*batch.columns, column], schema=wide)
                writers["train"].write_batch(full)
                continue
            reasons = [f"holds a question of {names}" if names else None for names in listed]
            column = pa.array(reasons, pa.string())
            full = pa.RecordBatch.from_arrays([*batch.columns, column], schema=wide)
            held = column.is_valid()
            writers["rejected"].write_batch(full.filter(held))
            writers["train"].write_batch(batch.filter(pc.invert(held)))
    validation = data.directory / "validation.parquet"
    if validation.is_file():
        shutil.copyfile(validation, stage.directory / validation.name)
    return Dataset(stage.directory)


def _tell(stage: StageContext, index: NgramIndex, touched: int, questions: int, read: int) -> None:
    """Say and record how many rows hold how many questions, and which cannot be found."""
    searched = len(index.questions) - sum(map(len, index.left_out.values()))
    stage.metric("rows_touched", touched, main=True)
    stage.metric("share_touched", touched / read)
    stage.metric("questions_touched", questions)
    stage.metric("questions_searched", searched)
    stage.say(
        f"{touched:,} of {read:,} rows hold one of {searched:,} questions; "
        f"{questions:,} questions are held"
    )
    for why, some in index.left_out.items():
        if some:
            named = ", ".join(question.id for question in some[:3])
            more = ", …" if len(some) > 3 else ""
            stage.warn(
                f"{len(some):,} of {len(index.questions):,} questions, {why} (n={index.n}), "
                f"cannot be found: {named}{more}"
            )
