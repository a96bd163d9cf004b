"""A Parquet file to which rows are added one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_BATCH_ROWS = 2048


class RowFile:
    """A Parquet file that rows are added to, written in batches."""

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        """Create the file."""
        self._file, self._schema = file, schema
        self._writer: pq.ParquetWriter | None = pq.ParquetWriter(file, schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self.count = 0

    def add(self, row: dict[str, Any]) -> None:
        """Add a row."""
        self._rows.append(row)
        self.count += 1
        if len(self._rows) >= _BATCH_ROWS:
            self._flush()

    def close(self) -> None:
        """Finish the file; a second call does nothing."""
        if self._writer is not None:
            self._flush()
            self._writer.close()
            self._writer = None

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the finished file, in bounded memory."""
        with pq.ParquetFile(self._file) as reader:
            for batch in reader.iter_batches(batch_size=_BATCH_ROWS):
                yield from batch.to_pylist()

    def _flush(self) -> None:
        if self._rows and self._writer is not None:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []
