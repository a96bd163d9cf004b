"""The record of one question: its score, and what the score was made of."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp import InputError

if TYPE_CHECKING:
    import pyarrow as pa

MEASURES = LOG_LIKELIHOOD, PROBABILITY = "log_likelihood", "probability"
"""Metrics of the right answer: its log-likelihood in nats, and its share of the choices'."""
_SHOWN_CHARACTERS = 400
_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """The score of one document."""

    task: str
    """The task as named in the settings; a group of tasks counts as one."""
    document: str
    """Digest of the document, the same for every model and unique within the task."""
    score: float
    weight: float = 1.0
    """The document's weight in the task's mean: 1, or its number of tokens."""
    subtask: str = ""
    prompt_hash: str = ""
    """Digest of the whole prompt, of which `prompt` may be the end."""
    prompt: str = ""
    prediction: str = ""
    target: str = ""
    log_likelihoods: list[float] = dataclasses.field(default_factory=list)
    """Of the choices, or of the one answer that is scored, in nats; empty for a written answer."""
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    """The document's value of every metric that is a mean over documents."""


def write_samples(file: Path, samples: Iterable[Sample]) -> None:
    """Write a Parquet file with a row per sample and a column per field."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{**vars(sample), "metrics": list(sample.metrics.items())} for sample in samples]
    pq.write_table(pa.Table.from_pylist(rows, schema=_schema()), file, compression="zstd")


def read_samples(file: Path) -> Iterator[Sample]:
    """Yield the samples of a file in order; raises InputError for any other file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as reader:
            if reader.schema_arrow != _schema():
                raise InputError(f"{file}: its columns are not those of an evaluation's samples")
            for batch in reader.iter_batches(batch_size=_AT_ONCE):
                for row in batch.to_pylist():
                    yield Sample(**{**row, "metrics": dict(row["metrics"])})
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{file}: no readable samples ({error})") from error


@functools.cache
def _schema() -> pa.Schema:
    import pyarrow as pa

    types = {
        "str": pa.string(),
        "float": pa.float64(),
        "list[float]": pa.list_(pa.float64()),
        "dict[str, float]": pa.map_(pa.string(), pa.float64()),
    }
    return pa.schema(
        [
            pa.field(field.name, types[str(field.type)], nullable=False)
            for field in dataclasses.fields(Sample)
        ]
    )


def hash_prompt(prompt: object) -> str:
    """Return a short digest of a prompt: a text, or its token ids."""
    text = prompt if isinstance(prompt, str) else json.dumps(prompt)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def shorten(text: object) -> str:
    """Return the first 400 characters of a text, as the report shows it."""
    shown = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False, default=str)
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[: _SHOWN_CHARACTERS - 1] + "…"


def shorten_front(text: str) -> str:
    """Return the last 400 characters of a text; in a prompt, these hold the question."""
    return text if len(text) <= _SHOWN_CHARACTERS else "…" + text[1 - _SHOWN_CHARACTERS :]
