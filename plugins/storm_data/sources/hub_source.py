"""Reading data sets of the hub, or folders, whatever their rows hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.files.split_settings import SplitSettings
from storm_data.samples import sample_of, write_sample
from storm_data.sources.source_lookup import look_up_source, without_nulls
from storm_exp import FileDigests, InputError, SettingError, StageContext, did_you_mean, setting
from storm_models.folder.existing_path import existing_path
from storm_models.sources.repository import cached_snapshot, fetch, resolve_commit

SAMPLE = "sample:"
"""What stands before a repository whose sample is read in its place."""
_ROWS, _LEAST_ROWS = 80, 16
"""Rows of a rehearsal together, and of each source at least."""
_HELD_OUT = 10
"""A rehearsal holds out one row of so many, at most."""


@dataclasses.dataclass(kw_only=True)
class HubSource(SplitSettings):
    """Settings and work of every component that reads data sets of the hub one after the other."""

    sources: dict[str, str] = setting({})
    """Repository `owner/name` by source name. A value that begins with `/`, `.` or `~` is a
    folder with Parquet or JSONL files."""

    revisions: dict[str, str] = setting({})
    """Revision by source name, where it is not `main`. The commit enters the key."""

    limits: dict[str, int] = setting({}, at_least=1, unit="rows")
    """Rows to read at most, by source name; the first ones are taken."""

    expected_rows: dict[str, int] = setting({}, semantic=False, at_least=0)
    """Rows by source name as far as known: lets a plan forecast sizes without the hub."""

    expected_tokens: dict[str, int] = setting({}, semantic=False, at_least=0)
    """Tokens by source name, about: lets a plan forecast costs."""

    split: str = "train"
    """The split that is read. Test splits stay out."""

    task_columns: dict[str, str] = setting({}, neutral={})
    """The column that names a row's task, by source name. The row's source is then `source/task`,
    for who goes by tasks: curators, examples before a question."""

    columns: ClassVar[list[str]]
    by_source: ClassVar[tuple[str, ...]] = (
        "revisions",
        "limits",
        "expected_rows",
        "expected_tokens",
        "task_columns",
    )
    """The settings whose keys are names of sources."""
    patterns: ClassVar[list[str]] = ["*.parquet", "*.jsonl", "*.json", "*.jsonl.gz", "*.json.gz"]
    """The files that can be read."""

    fields: dict[str, str] = setting({})
    """The columns of rows that name things in their own way, by what they hold:
    `{question: ask, answer: reply}`. `{xlam.calls: answers}` is said of the source `xlam` alone."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        if not self.sources:
            raise SettingError("sources", {}, "needs at least one source, {name: owner/repository}")
        for field in self.by_source:
            for name in getattr(self, field):
                if name not in self.sources:
                    known = did_you_mean(name, self.sources)
                    raise SettingError(field, name, f"is no source{known}")

    def check_fields(self) -> None:
        """Raise SettingError for a name in `fields` that rows do not have."""
        for name in self.sources:
            self.form(self.fields_of(name))

    def fields_of(self, source: str) -> dict[str, str]:
        """Return the names of columns in a source: its own before those of all."""
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
        """Return per source the commit (the revision while unknown) or the files' digests."""
        found: dict[str, Any] = {}
        for name, place in self.sources.items():
            if is_sample(place):
                file = sample_of(place.removeprefix(SAMPLE))
                found[name] = files.digest(file) if file else None
            elif is_folder(place):
                folder = existing_path(f"sources.{name}", place)
                found[name] = {
                    str(file.relative_to(folder)): files.digest(file)
                    for file in self.data_files(name, folder)
                }
            else:
                revision = self.revision(name)
                found[name] = resolve_commit(place, revision, "dataset") or revision
        return found

    def fetches(self) -> list[str]:
        """Return what has to be downloaded before this can run, for people."""
        return [
            f"dataset {place} at {self.revision(name)}"
            + (f", about {self.expected_rows[name]} rows" if name in self.expected_rows else "")
            for name, place in self.sources.items()
            if not is_folder(place)
            and not is_sample(place)
            and cached_snapshot(place, self.revision(name), "dataset") is None
        ]

    def plan_spec(self) -> DatasetSpec:
        """Return rows as intervals where `expected_rows` or limits tell; checks folders."""
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
        """Return the tokens of a row, over the rows that are read of each source."""
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
        parts.sort(key=lambda part: part[2])  # what trains first: nothing held out may be in it
        forms = {name: self.form(self.fields_of(name)) for name in self.sources}
        with (
            Ingest(stage.scratch, self.form({}), self) as ingest,
            stage.progress(sum(self.expected_rows.values()), "rows", "reading") as progress,
        ):
            for name, split, held_out in parts:
                for number, row in enumerate(self._rows(name, places[name], split), start=1):
                    if number > self.limits.get(name, number):
                        break
                    prefix = f"{name}:{split}" if held_out else name
                    row = {**row, "id": f"{prefix}:{number}", "source": self._task(name, row)}
                    ingest.take(row, number, name, self.seed, held_out=held_out, form=forms[name])
                    progress.advance()
            ingest.finish(stage, f"sources={', '.join(self.sources)}")
        return Dataset(stage.directory)

    def look_up(self) -> list[str]:
        """Ask the hub for files, splits and first rows of every source that is not here.

        Raises SettingError for a source of which no file, no split or no first row can be read,
        InputError for a repository that is not there or closed.
        """
        return [
            look_up_source(
                f"sources.{name}",
                place,
                self.revision(name),
                patterns=self.wanted(name),
                splits=[] if self.names_files(name) else [split for split, _ in self.parts(name)],
                form=self.form(self.fields_of(name)),
            )
            for name, place in self.sources.items()
            if not self._is_here(name, place) and not is_sample(place)
        ]

    def _task(self, name: str, row: dict[str, Any]) -> str:
        """Return the source of a row, with its task where one is named."""
        column = self.task_columns.get(name)
        if column is None:
            return name
        if column not in row:
            problem = f"the rows have the columns {', '.join(row)}"
            raise SettingError(f"task_columns.{name}", column, problem)
        return f"{name}/{row[column]}"

    def rehearsal(self) -> Self:
        """Return the same with a few rows a source: the first of what is here, else a sample.

        Raises SettingError for a repository that is not here and of which there is no sample.
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
        """Say what is read in a repository's place; empty outside rehearsals without data."""
        samples = [
            place.removeprefix(SAMPLE) for place in self.sources.values() if is_sample(place)
        ]
        return f"our own rows in the schema of {', '.join(samples)}" if samples else ""

    def not_rehearsed(self) -> list[str]:
        """Return what a sample does not show."""
        return [
            f"{place}: whether you may fetch it, and its rows (the sample is of our own text)"
            for name, place in self.sources.items()
            if not self._is_here(name, place)
        ]

    def _rehearsed(self, name: str, place: str) -> str:
        if self._is_here(name, place):
            return place
        if sample_of(place) is None:
            problem = (
                "no sample of its rows is known for a rehearsal; where there is a network: "
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
        """Return the folder that holds a source, fetched where it is missing."""
        place = self.sources[name]
        if is_sample(place):
            folder = scratch / "samples" / name
            write_sample(place.removeprefix(SAMPLE), folder, self.limits[name])
            return str(folder)
        if is_folder(place):
            return str(existing_path(f"sources.{name}", place))
        patterns = [*self.wanted(name), "README.md"]  # it says which files are of which split
        return str(fetch(place, self.revision(name), patterns, "dataset"))

    def wanted(self, name: str) -> list[str]:
        """Return the patterns of the files that are read of a source."""
        return self.patterns

    def names_files(self, name: str) -> bool:
        """Return whether files were named for a source, which then are the split."""
        return False

    def options(self, name: str, split: str) -> dict[str, Any]:
        """Return what `load_dataset` is told of a source besides its place and split."""
        return {}

    def data_files(self, name: str, folder: Path) -> list[Path]:
        """Return the files that are read of a source that is a folder."""
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


def is_sample(place: str) -> bool:
    """Return whether a source is the sample of a repository, as in rehearsals."""
    return place.startswith(SAMPLE)


def is_folder(place: str) -> bool:
    """Return whether a source is a folder of this machine."""
    return place.startswith(("/", ".", "~"))
