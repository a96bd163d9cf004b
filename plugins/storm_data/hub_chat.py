"""The component `hub_chat`: several chat data sets of the hub, or folders, as one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storm_data.chat import ChatFormat
from storm_data.dataset import Dataset, DatasetForecast
from storm_data.limits import Limits
from storm_exp import InputError, SettingError, Stage, component, did_you_mean, setting
from storm_exp.digest import FileDigests
from storm_models.location import located
from storm_models.repository import cached_snapshot, fetch, resolve_commit

_PATTERNS = ["*.parquet", "*.jsonl", "*.json", "*.jsonl.gz", "*.json.gz", "README.md"]
_COLUMNS = ["id", "messages", "source"]


@component("dataset", "hub_chat", version=1, requires=("datasets", "pyarrow"), extra="evaluate")
class HubChat(Limits):
    """Chat data sets from the hub or from folders, one after the other, in one form.

    Rows in OpenAI's or ShareGPT's form are taken as they are; of a preference pair the preferred
    answer is kept. Bad rows and duplicates, within and across sources, are rejected with their
    reason.
    """

    sources: dict[str, str] = setting({})
    """Repository `owner/name` by source name. A value that begins with `/`, `.` or `~` is a
    folder with Parquet or JSONL files."""

    revisions: dict[str, str] = setting({})
    """Revision by source name, where it is not `main`. The commit enters the key."""

    limits: dict[str, int] = setting({})
    """Rows to read at most, by source name; the first ones are taken."""

    expected_rows: dict[str, int] = setting({}, semantic=False)
    """Rows by source name as far as known: lets a plan forecast sizes without the hub."""

    split: str = "train"
    """The split that is read. Test splits stay out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sources:
            raise SettingError("sources", {}, "needs at least one source, {name: owner/repository}")
        for field in ("revisions", "limits", "expected_rows"):
            for name in getattr(self, field):
                if name not in self.sources:
                    known = did_you_mean(name, self.sources)
                    raise SettingError(field, name, f"is no source{known}")

    def fingerprint(self, files: FileDigests) -> dict[str, Any]:
        """Return per source the commit (the revision while unknown) or the files' digests."""
        found: dict[str, Any] = {}
        for name, place in self.sources.items():
            if _is_folder(place):
                folder = located(f"sources.{name}", place)
                found[name] = {
                    str(file.relative_to(folder)): files.digest(file)
                    for file in _data_files(folder)
                }
            else:
                revision = self._revision(name)
                found[name] = resolve_commit(place, revision, "dataset") or revision
        return found

    def fetches(self) -> list[str]:
        """Return what has to be downloaded before this can run, for people."""
        return [
            f"dataset {place} at {self._revision(name)}"
            + (f", about {self.expected_rows[name]} rows" if name in self.expected_rows else "")
            for name, place in self.sources.items()
            if not _is_folder(place)
            and cached_snapshot(place, self._revision(name), "dataset") is None
        ]

    def forecast(self) -> DatasetForecast:
        """Return rows as intervals where `expected_rows` or limits tell; checks folders."""
        rows: list[int | None] = []
        for name, place in self.sources.items():
            if _is_folder(place) and not _data_files(located(f"sources.{name}", place)):
                raise SettingError(f"sources.{name}", place, "holds no Parquet or JSONL file")
            known = [m[name] for m in (self.expected_rows, self.limits) if name in m]
            rows.append(min(known) if known else None)
        if any(count is None for count in rows):
            return DatasetForecast(columns=_COLUMNS)
        total = sum(count or 0 for count in rows)
        return DatasetForecast(splits=self.splits(total), columns=_COLUMNS)

    def run(self, stage: Stage) -> Dataset:
        """Fetch what is missing, read, check and split; raises InputError without a network."""
        from storm_data.intake import Intake

        missing = self.fetches()
        if missing:
            stage.say(f"fetching {'; '.join(missing)}")
        folders = {name: self._folder(name) for name in self.sources}
        with (
            Intake(stage.scratch, ChatFormat.auto, self.max_characters) as intake,
            stage.progress(sum(self.expected_rows.values()), "rows", "reading") as progress,
        ):
            for name, folder in folders.items():
                for number, row in enumerate(self._rows(name, folder), start=1):
                    if number > self.limits.get(name, number):
                        break
                    intake.take(row, number, name, self.seed)
                    progress.advance()
            self.finish(intake, stage, f"sources={', '.join(self.sources)}")
        return Dataset(stage.directory)

    def _revision(self, name: str) -> str:
        return self.revisions.get(name, "main")

    def _folder(self, name: str) -> Path:
        place = self.sources[name]
        if _is_folder(place):
            return located(f"sources.{name}", place)
        return fetch(place, self._revision(name), _PATTERNS, "dataset")

    def _rows(self, name: str, folder: Path) -> Iterator[dict[str, Any]]:
        """Yield a source's rows; its own id and source columns are replaced by ours."""
        from datasets import load_dataset

        try:
            rows = load_dataset(str(folder), split=self.split, streaming=True)
            for number, row in enumerate(rows, start=1):
                yield {**row, "id": f"{name}:{number}", "source": name}
        except Exception as error:
            text = next(iter(str(error).splitlines()), type(error).__name__)
            raise InputError(f"{self.sources[name]} ({name}) cannot be read: {text}") from error


def _is_folder(place: str) -> bool:
    return place.startswith(("/", ".", "~"))


def _data_files(folder: Path) -> list[Path]:
    return sorted(file for pattern in _PATTERNS[:-1] for file in folder.rglob(pattern))
