"""The component `text_documents`: documents from text files, JSONL files or folders of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from glob import has_magic
from pathlib import Path

from omegaconf import MISSING

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.files.split_settings import ExcerptSettings
from storm_data.rows.bad_row import BadRow
from storm_data.rows.document import COLUMNS, DocumentRows, read_text
from storm_data.sources.jsonl_source import take_rows
from storm_exp import FileDigests, InputError, SettingError, StageContext, component, setting
from storm_models.folder.existing_path import existing_path

_JSONL = ".jsonl"


@component("dataset", "text_documents", version=3)
class TextDocuments(ExcerptSettings):
    """Documents for pretraining: one per text file, or one per line of a JSONL file.

    Bad documents and duplicates are rejected with their reason.
    """

    path: str = setting(MISSING, semantic=False)
    """A file, a folder, or a pattern such as `texts/**/*.md`. The contents of the files and their
    names inside the folder enter the key; the folder's path does not."""

    suffixes: list[str] = setting([".txt", ".md", ".py"])
    """The suffixes of files to read in a folder or pattern, besides `.jsonl`."""

    source: str = "text"
    """The source of documents that do not name one."""

    max_characters: int = 1_000_000
    """Characters above which a document is bad."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        for suffix in self.suffixes:
            if not suffix.startswith("."):
                raise SettingError("suffixes", suffix, f"must begin with a dot: '.{suffix}'")

    def row_schema(self, fields: Mapping[str, str]) -> DocumentRows:
        """Return the schema of rows."""
        return DocumentRows(fields)

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the files' digests by their names inside the folder."""
        return {name: files.digest(file) for name, file in self._files().items()}

    def plan_spec(self) -> DatasetSpec:
        """Return the number of documents as intervals; raises InputError for files without any."""
        from storm_data.files.jsonl import check_jsonl, count_rows

        rows = 0
        for file in self._files().values():
            if file.suffix == _JSONL:
                check_jsonl("path", file)
            rows += count_rows(file) if file.suffix == _JSONL else 1
        rows = min(rows, self.limit) if self.limit else rows
        if self.validation_rows >= rows:
            raise SettingError("validation_rows", self.validation_rows, f"there are {rows} rows")
        return DatasetSpec(splits=self.splits(rows), columns=COLUMNS)

    def run(self, stage: StageContext) -> Dataset:
        """Read, check and split the documents; raises InputError when too many are bad."""
        from storm_data.files.ingest import Ingest

        files = self._files()
        if left_out := self._left_out():
            stage.say(f"files not read, by suffix (see the setting suffixes): {left_out}")
        total = sum(file.stat().st_size for file in files.values())
        with (
            Ingest(stage.scratch, self.row_schema(self.fields), self) as ingest,
            stage.progress(total, "bytes", "reading") as progress,
        ):
            read = 0
            for name, file in files.items():
                left = self.limit - read if self.limit else None
                if left is not None and left <= 0:
                    break
                if file.suffix == _JSONL:
                    read += take_rows(
                        ingest, file, self, self.source, progress, within=name, limit=left
                    )
                    continue
                read += 1
                try:
                    text = read_text(file, self.max_characters)
                except BadRow as error:
                    ingest.reject(error, 1, self.source, "", name or None)
                else:
                    ingest.take({"text": text, "id": name}, 1, self.source, self.seed)
                progress.advance(file.stat().st_size)
            ingest.finish(stage, self.path)
        return Dataset(stage.directory)

    def _files(self) -> dict[str, Path]:
        """Return the files by their names inside the folder, in order; '' names a single file."""
        place, pattern = _split_pattern(self.path)
        folder = existing_path("path", place)
        if folder.is_file():
            return {"": folder}
        listed = _list_files(folder, pattern)
        files = [file for file in listed if file.suffix in (_JSONL, *self.suffixes)]
        if not files:
            present = ", ".join(sorted({file.suffix or file.name for file in listed})[:8])
            wanted = ", ".join((_JSONL, *self.suffixes))
            raise InputError(
                f"path={self.path!r}: no file has one of the suffixes {wanted}"
                + (f"; it has {present}" if present else "; it has no files")
            )
        return dict(sorted((file.relative_to(folder).as_posix(), file) for file in files))

    def _left_out(self) -> str:
        """Return the numbers of other files in the folder by suffix, as text."""
        place, pattern = _split_pattern(self.path)
        folder = existing_path("path", place)
        listed = [] if folder.is_file() else _list_files(folder, pattern)
        read = (_JSONL, *self.suffixes)
        others = Counter(file.suffix or file.name for file in listed if file.suffix not in read)
        return ", ".join(f"{suffix}: {count}" for suffix, count in sorted(others.items()))


def _list_files(folder: Path, pattern: str) -> list[Path]:
    files = [file for file in folder.glob(pattern) if file.is_file()]
    return [file for file in files if not _hidden(file, folder)]


def _split_pattern(path: str) -> tuple[str, str]:
    """Return the folder before a path's first wildcard, and the pattern from there."""
    if Path(path).expanduser().exists() or not has_magic(path):
        return path, "**/*"
    parts = Path(path).parts
    first = next(number for number, part in enumerate(parts) if has_magic(part))
    return str(Path(*parts[:first])), str(Path(*parts[first:]))


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
