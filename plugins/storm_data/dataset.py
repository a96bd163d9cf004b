"""Data sets of chats, documents or preferences: Parquet files, one per split."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_exp import Artifact, InputError, Spec

if TYPE_CHECKING:
    import pyarrow as pa

SPLITS = ("train", "validation", "rejected")


def within(planned: dict[str, list[int]], made: dict[str, list[int]]) -> bool:
    """Return whether the counts of splits lie within closed intervals; no split has none."""
    none = [0, 0]
    pairs = [
        (planned.get(name, none), made.get(name, none)) for name in planned.keys() | made.keys()
    ]
    return all(lowest <= low and high <= highest for (lowest, highest), (low, high) in pairs)


@dataclasses.dataclass(kw_only=True)
class DatasetSpec(Spec):
    """What is known of a data set without reading its rows."""

    splits: dict[str, list[int]] | None = None
    """Rows per split as a closed interval [lowest, highest]."""
    columns: list[str] | None = None
    row_tokens: float | None = None
    """Mean tokens of a row, where settings state it, by any large vocabulary."""
    expected_rows: float | None = None
    """Rows expected in the split `train`, where fewer than the most possible are likely."""

    def agrees(self, field: str, planned: Any, made: Any) -> bool:
        """Return whether counts lie within their intervals; an expectation may be wrong."""
        if field == "splits":
            return within(planned, made)
        return field in ("row_tokens", "expected_rows") or super().agrees(field, planned, made)

    def likely_rows(self) -> float | None:
        """Return the rows to train on that estimates assume: the expected ones, else the most."""
        if self.splits is None:
            return self.expected_rows
        most = float(self.splits.get("train", [0, 0])[1])
        return most if self.expected_rows is None else min(self.expected_rows, most)

    def summary(self) -> str:
        """Return, for example, `train 4000, validation 300`."""
        if self.splits is None:
            return ""
        return ", ".join(
            f"{name} {low}" if low == high else f"{name} {low}–{high}"
            for name, (low, high) in self.splits.items()
        )


class Dataset(Artifact):
    """Rows with the columns `id`, `source`, their content, and further ones.

    Chats have `messages`, documents `text`, preferences `prompt`, `chosen` and `rejected` (lists of
    messages: a prompt, and two answers to it). Messages are read through `Conversation`; `tools` is
    JSON text of the functions that may be called, or null. The splits `train` and `validation` hold
    the rows to use, `rejected` the others with the `reason`.
    """

    spec_type = DatasetSpec

    def splits(self) -> list[str]:
        """Return the names of the splits that exist."""
        return sorted(file.stem for file in self.directory.glob("*.parquet"))

    def table(self, split: str) -> pa.Table:
        """Return a split as an Arrow table; raises InputError when it does not exist."""
        import pyarrow.parquet as pq

        return pq.read_table(self._file(split))

    def rows(self, split: str) -> Iterator[dict[str, Any]]:
        """Yield a split's rows in order, in bounded memory."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self._file(split)) as reader:
            for batch in reader.iter_batches(batch_size=1024):
                yield from batch.to_pylist()

    def count(self, split: str) -> int:
        """Return the number of rows of a split, 0 when it does not exist."""
        import pyarrow.parquet as pq

        file = self.directory / f"{split}.parquet"
        return int(pq.read_metadata(file).num_rows) if file.is_file() else 0

    def spec(self) -> DatasetSpec:
        """Read row counts and columns from the Parquet footers."""
        import pyarrow.parquet as pq

        splits = {name: [self.count(name)] * 2 for name in self.splits()}
        columns: list[str] = []
        if "train" in splits:
            columns = list(pq.read_schema(self._file("train")).names)
        return DatasetSpec(splits=splits, columns=columns)

    def write(self, split: str, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
        """Write a split; columns that are all null keep the type that `schema` gives them."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist(list(rows), schema=schema)
        pq.write_table(table, self.directory / f"{split}.parquet", compression="zstd")

    def _file(self, split: str) -> Path:
        file = self.directory / f"{split}.parquet"
        if not file.is_file():
            existing = ", ".join(self.splits()) or "none"
            raise InputError(f"{self.directory}: no split '{split}' (it has: {existing})")
        return file
