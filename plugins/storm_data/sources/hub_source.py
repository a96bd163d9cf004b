"""Reading data sets of the hub, or folders, of any kind of rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.files.split_settings import SplitSettings
from storm_data.samples import sample_of, write_sample
from storm_data.sources.location import SAMPLE, is_folder, is_sample
from storm_data.sources.source_lookup import look_up_source, without_nulls
from storm_exp import FileDigests, InputError, SettingError, StageContext, did_you_mean, setting
from storm_models.folder.existing_path import existing_path
from storm_models.sources.repository import cached_snapshot, fetch, resolve_commit

_ROWS, _LEAST_ROWS = 80, 16
"""Rows of a rehearsal in all, and the fewest of each source."""
_HELD_OUT = 10
"""A rehearsal holds out at most one in this many rows."""


@dataclasses.dataclass(kw_only=True)
class HubSource(SplitSettings):
    """Settings and methods of components that read one or more data sets of the hub."""

    sources: dict[str, str] = setting({})
    """Repository `owner/name` by source name. A value that begins with `/`, `.` or `~` is a
    folder with Parquet or JSONL files."""

    revisions: dict[str, str] = setting({})
    """Revision by source name, where it is not `main`. The commit behind it enters the key."""

    limits: dict[str, int] = setting({}, at_least=1, unit="rows")
    """The most rows to read, by source name; the first ones are read."""

    expected_rows: dict[str, int] = setting({}, semantic=False, at_least=0)
    """Rows by source name, as far as known: a plan can derive sizes without the hub."""

    expected_tokens: dict[str, int] = setting({}, semantic=False, at_least=0)
    """Approximate tokens by source name, for estimates of costs."""

    split: str = "train"
    """The split to read. Test splits are not read."""

    task_columns: dict[str, str] = setting({}, neutral={})
    """The column that names a row's task, by source name. The row's source becomes `source/task`,
    which curators and few-shot examples use."""

    misplaced: ClassVar = {"sources=[{}]": r"[\w-][\w.-]*/[\w.-]+"}
    """Settings, as overrides, that are mistaken for the menu's options, by patterns of values."""
    columns: ClassVar[list[str]]
    by_source: ClassVar[tuple[str, ...]] = (
        "revisions",
        "limits",
        "expected_rows",
        "expected_tokens",
        "task_columns",
    )
    """The settings that are keyed by source name."""
    patterns: ClassVar[list[str]] = ["*.parquet", "*.jsonl", "*.json", "*.jsonl.gz", "*.json.gz"]
    """The files that can be read."""

    fields: dict[str, str] = setting({})
    """Columns of rows with unusual names, by what they hold: `{question: ask, answer: reply}`.
    `{xlam.calls: answers}` applies to the source `xlam` only."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        if not self.sources:
            raise SettingError("sources", {}, "needs at least one source, {name: owner/repository}")
        for field in self.by_source:
            for name in getattr(self, field):
                if name not in self.sources:
                    known = did_you_mean(name, self.sources)
                    raise SettingError(field, name, f"is not a source{known}")

    def check_fields(self) -> None:
        """Raise SettingError for an unknown name in `fields`."""
        for name in self.sources:
            self.row_schema(self.fields_of(name))

    def fields_of(self, source: str) -> dict[str, str]:
        """Return the column names for a source, with its own before those of all sources."""
        own: dict[str, str] = {}
        for name, column in self.fields.items():
            first, _, rest = name.partition(".")
            if not rest or first not in self.sources:
                own.setdefault(name, column)
            elif first == source:
                own[rest] = column
        return own

    def parts(self, name: str) -> list[tuple[str, bool]]:
        """Return the splits of a source to read, and whether each is held out."""
        return [(self.split, False)]

    def fingerprint(self, files: FileDigests) -> dict[str, Any]:
        """Return per source the commit (the revision while it is unknown) or the files' digests."""
        identities: dict[str, Any] = {}
        for name, place in self.sources.items():
            if is_sample(place):
                file = sample_of(place.removeprefix(SAMPLE))
                identities[name] = files.digest(file) if file else None
            elif is_folder(place):
                folder = existing_path(f"sources.{name}", place)
                identities[name] = {
                    str(file.relative_to(folder)): files.digest(file)
                    for file in self.data_files(name, folder)
                }
            else:
                revision = self.revision(name)
                identities[name] = resolve_commit(place, revision, "dataset") or revision
        return identities

    def fetches(self) -> list[str]:
        """Return what has to be downloaded before this can run, as text for people."""
        return [
            f"dataset {place} at {self.revision(name)}"
            + (f", about {self.expected_rows[name]} rows" if name in self.expected_rows else "")
            for name, place in self.sources.items()
            if not is_folder(place)
            and not is_sample(place)
            and cached_snapshot(place, self.revision(name), "dataset") is None
        ]

    def plan_spec(self) -> DatasetSpec:
        """Return the rows as intervals where settings give them; check folders."""
        rows: list[int | None] = []
        for name, place in self.sources.items():
            field = f"sources.{name}"
            if is_folder(place) and not self.data_files(name, existing_path(field, place)):
                raise SettingError(field, place, "holds no Parquet or JSONL file")
            known = [m[name] for m in (self.expected_rows, self.limits) if name in m]
            rows.append(min(known) if known else None)
        if any(count is None for count in rows):
            return DatasetSpec(columns=self.columns)
        total = sum(count or 0 for count in rows)
        return DatasetSpec(
            splits=self.splits(total), columns=self.columns, row_tokens=self._row_tokens()
        )

    def _row_tokens(self) -> float | None:
        """Return the mean tokens of a row, over the rows to read from each source."""
        rows = tokens = 0.0
        for name in self.sources:
            if name not in self.expected_tokens or not self.expected_rows.get(name):
                return None
            read = min(self.expected_rows[name], self.limits.get(name, self.expected_rows[name]))
            rows += read
            tokens += self.expected_tokens[name] * read / self.expected_rows[name]
        return tokens / rows

    def run(self, stage: StageContext) -> Dataset:
        """Fetch what is missing, read, check and split; raises InputError without a network."""
        from storm_data.files.ingest import Ingest

        missing = self.fetches()
        if missing:
            stage.say(f"fetching {'; '.join(missing)}")
        places = {name: self.place(name, stage.scratch) for name in self.sources}
        parts = [(name, *part) for name in self.sources for part in self.parts(name)]
        parts.sort(key=lambda part: part[2])  # held-out rows last: they must not repeat others
        schemas = {name: self.row_schema(self.fields_of(name)) for name in self.sources}
        with (
            Ingest(stage.scratch, self.row_schema({}), self) as ingest,
            stage.progress(sum(self.expected_rows.values()), "rows", "reading") as progress,
        ):
            for name, split, held_out in parts:
                for number, row in enumerate(self._rows(name, places[name], split), start=1):
                    if number > self.limits.get(name, number):
                        break
                    prefix = f"{name}:{split}" if held_out else name
                    row = {**row, "id": f"{prefix}:{number}", "source": self._task(name, row)}
                    schema = schemas[name]
                    ingest.take(row, number, name, self.seed, held_out=held_out, schema=schema)
                    progress.advance()
            ingest.finish(stage, f"sources={', '.join(self.sources)}")
        return Dataset(stage.directory)

    def look_up(self) -> list[str]:
        """Check files, splits and first rows on the hub for every source that is not on disk.

        Raises SettingError for a source without readable files, split or first rows, InputError for
        a repository that does not exist or that this user has no access to.
        """
        return [
            look_up_source(
                f"sources.{name}",
                place,
                self.revision(name),
                patterns=self.wanted(name),
                splits=[] if self.names_files(name) else [split for split, _ in self.parts(name)],
                schema=self.row_schema(self.fields_of(name)),
            )
            for name, place in self.sources.items()
            if not self._is_here(name, place) and not is_sample(place)
        ]

    def _task(self, name: str, row: dict[str, Any]) -> str:
        """Return the source of a row, with its task where `task_columns` names a column."""
        column = self.task_columns.get(name)
        if column is None:
            return name
        if column not in row:
            problem = f"the rows have the columns {', '.join(row)}"
            raise SettingError(f"task_columns.{name}", column, problem)
        return f"{name}/{row[column]}"

    def rehearsal(self) -> Self:
        """Return a copy that reads a few rows per source: the first ones on disk, else a sample.

        Raises SettingError for a repository that is not on disk and has no sample.
        """
        rows = max(_LEAST_ROWS, _ROWS // len(self.sources))
        sources = {name: self._rehearsed(name, place) for name, place in self.sources.items()}
        limits = {name: min(rows, self.limits.get(name, rows)) for name in sources}
        return dataclasses.replace(
            self,
            sources=sources,
            limits=limits,
            expected_rows={},
            expected_tokens={},
            validation_rows=min(self.validation_rows, sum(limits.values()) // _HELD_OUT),
        )

    @property
    def stands_for(self) -> str:
        """What is read in place of repositories; empty where no samples are read."""
        samples = [
            place.removeprefix(SAMPLE) for place in self.sources.values() if is_sample(place)
        ]
        return f"made-up rows in the schema of {', '.join(samples)}" if samples else ""

    def not_rehearsed(self) -> list[str]:
        """Return what a rehearsal with samples does not test."""
        return [
            f"{place}: whether you may fetch it, and its rows (the sample's are made up)"
            for name, place in self.sources.items()
            if not self._is_here(name, place)
        ]

    def _rehearsed(self, name: str, place: str) -> str:
        if self._is_here(name, place):
            return place
        if sample_of(place) is None:
            problem = (
                "a rehearsal has no sample of its rows; with network access, run: "
                f"hf download {place} --repo-type dataset"
            )
            raise SettingError(f"sources.{name}", place, problem)
        return SAMPLE + place

    def _is_here(self, name: str, place: str) -> bool:
        if is_folder(place):
            return True
        snapshot = cached_snapshot(place, self.revision(name), "dataset")
        return snapshot is not None and bool(self.data_files(name, snapshot))

    def revision(self, name: str) -> str:
        """Return the revision of a source."""
        return self.revisions.get(name, "main")

    def place(self, name: str, scratch: Path) -> str:
        """Return the folder of a source, downloaded or written if missing."""
        place = self.sources[name]
        if is_sample(place):
            folder = scratch / "samples" / name
            write_sample(place.removeprefix(SAMPLE), folder, self.limits[name])
            return str(folder)
        if is_folder(place):
            return str(existing_path(f"sources.{name}", place))
        patterns = [*self.wanted(name), "README.md"]  # it maps files to splits
        return str(fetch(place, self.revision(name), patterns, "dataset"))

    def wanted(self, name: str) -> list[str]:
        """Return the patterns of a source's files."""
        return self.patterns

    def names_files(self, name: str) -> bool:
        """Return whether a setting names the files of a source, which then form its split."""
        return False

    def options(self, name: str, split: str) -> dict[str, Any]:
        """Return further arguments of `load_dataset` for a source."""
        return {}

    def data_files(self, name: str, folder: Path) -> list[Path]:
        """Return the files to read in a folder."""
        return sorted(file for pattern in self.patterns for file in folder.rglob(pattern))

    def _rows(self, name: str, place: str, split: str) -> Iterator[dict[str, Any]]:
        from datasets import load_dataset

        try:
            options = self.options(name, split)
            rows = load_dataset(
                place, split=split, streaming=True, trust_remote_code=False, **options
            )
            for row in rows:
                yield {column: without_nulls(value) for column, value in row.items()}
        except Exception as error:
            text = next(iter(str(error).splitlines()), type(error).__name__)
            raise InputError(f"{self.sources[name]} ({name}) cannot be read: {text}") from error
