"""Reading a file of rows, JSONL or one JSON list, of any kind of rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from omegaconf import MISSING

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.files.split_settings import ExcerptSettings, SplitSettings
from storm_data.rows.bad_row import BadRow
from storm_exp import FileDigests, SettingError, StageContext, setting
from storm_models.folder.existing_path import existing_path

if TYPE_CHECKING:
    from storm_data.files.ingest import Ingest
    from storm_exp import Progress


@dataclasses.dataclass(kw_only=True)
class JsonlSource(ExcerptSettings):
    """Settings and methods of components that read one JSONL file."""

    path: str = setting(MISSING, semantic=False)
    """A file of rows: JSONL, or one JSON list. Its contents enter the key, its path does not."""

    source: str = MISSING
    """The source of rows that do not name one."""

    misplaced: ClassVar = {"path={}": r".+\.jsonl(\.gz)?"}
    """Settings, as overrides, that are mistaken for the menu's options, by patterns of values."""
    columns: ClassVar[list[str]]

    def fingerprint(self, files: FileDigests) -> str:
        """Return the digest of the file."""
        return files.digest(self._file())

    def plan_spec(self) -> DatasetSpec:
        """Return the rows as intervals; raises SettingError for an empty file or another format."""
        from storm_data.files.jsonl import count_rows

        rows = count_rows(self._file())
        rows = min(rows, self.limit) if self.limit else rows
        if self.validation_rows >= rows:
            raise SettingError("validation_rows", self.validation_rows, f"the file has {rows} rows")
        return DatasetSpec(splits=self.splits(rows), columns=self.columns)

    def run(self, stage: StageContext) -> Dataset:
        """Read, check and split the rows; raises InputError when too many are bad."""
        from storm_data.files.ingest import Ingest

        file = self._file()
        with (
            Ingest(stage.scratch, self.row_schema(self.fields), self) as ingest,
            stage.progress(file.stat().st_size, "bytes", "reading") as progress,
        ):
            take_rows(ingest, file, self, self.source, progress, limit=self.limit)
            ingest.finish(stage, self.path)
        return Dataset(stage.directory)

    def _file(self) -> Path:
        from storm_data.files.jsonl import check_jsonl

        file = existing_path("path", self.path)
        check_jsonl("path", file)
        return file


def take_rows(
    ingest: Ingest,
    file: Path,
    settings: SplitSettings,
    source: str,
    progress: Progress,
    within: str = "",
    limit: int | None = None,
) -> int:
    """Read all, or the first `limit`, rows of a JSONL file or JSON list; return their number.

    Where there are several files, `within` names this one and prefixes the ids of its rows.
    """
    number = 0
    for number, line, row in parsed_rows(file, settings.max_characters):
        if limit is not None and number > limit:
            return limit
        progress.advance(len(line))
        if isinstance(row, BadRow):
            name = f"{within}:{number}" if within else None
            ingest.reject(row, number, source, decoded(line), name)
            continue
        ingest.take(_prefixed(row, within, number), number, source, settings.seed)
    return number


def parsed_rows(
    file: Path, max_characters: int
) -> Iterator[tuple[int, bytes, dict[str, Any] | BadRow]]:
    """Yield (number from 1, text, the row's object or why it is none) of a file's rows.

    A row of many more bytes than `max_characters` can have is not read to its end.
    """
    from storm_data.files.jsonl import parse_row, read_rows

    longest = 8 * max_characters + 65_536
    for number, line, complete in read_rows(file, longest):
        row: dict[str, Any] | BadRow
        try:
            if not complete:
                raise BadRow("enormous", f"a row of more than {longest} bytes")
            row = parse_row(line)
        except BadRow as error:
            row = error
        yield number, line, row


def _prefixed(row: dict[str, Any], within: str, number: int) -> dict[str, Any]:
    return {**row, "id": f"{within}:{row.get('id', number)}"} if within else row


def decoded(line: bytes) -> str:
    """Return the beginning of a row that cannot be used, as text."""
    return line[:8000].decode(errors="replace").rstrip("\n")
