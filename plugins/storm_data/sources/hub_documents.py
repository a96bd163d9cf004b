"""The component `hub_documents`: documents from data sets of the hub, or from folders."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from storm_data.dataset import Dataset
from storm_data.rows.document import COLUMNS, DocumentRows
from storm_data.sources.hub_source import HubSource
from storm_data.sources.location import is_folder, is_sample
from storm_exp import InputError, SettingError, StageContext, component, setting
from storm_models.sources.repository import resolve_commit


@component(
    "dataset", "hub_documents", version=3, requires=("datasets", "pyarrow"), extra="evaluate"
)
class HubDocuments(HubSource):
    """Documents for pretraining, such as SlimPajama's and StarCoder's, source by source.

    Bad documents and duplicates, within and across sources, are rejected with their reason.
    """

    files: dict[str, str] = setting({})
    """The files to read, by source name, as a pattern inside the repository: one language of
    StarCoder is `python/*.parquet`. Other files are not downloaded."""

    stream: bool = setting(False, semantic=False)
    """Read rows over the network up to `limits`, instead of downloading the files first: SlimPajama
    has 895 GB. The rows are the same."""

    max_characters: int = 1_000_000
    """Characters above which a document is bad."""

    columns: ClassVar[list[str]] = COLUMNS
    by_source: ClassVar[tuple[str, ...]] = (*HubSource.by_source, "files")
    patterns: ClassVar[list[str]] = [*HubSource.patterns, "*.jsonl.zst", "*.json.zst"]

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        unlimited = [name for name in self.sources if name not in self.limits]
        if self.stream and unlimited:
            problem = f"with stream=true, '{unlimited[0]}' needs a limit, or it is read to the end"
            raise SettingError("limits", self.limits, problem)

    def row_schema(self, fields: Mapping[str, str]) -> DocumentRows:
        """Return the schema of rows."""
        return DocumentRows(fields)

    def fetches(self) -> list[str]:
        """Return what has to be downloaded before this can run, as text for people."""
        if not self.stream:
            return super().fetches()
        return [
            f"dataset {place} at {self.revision(name)}, {self.limits[name]} rows over the network"
            for name, place in self.sources.items()
            if not is_folder(place) and not is_sample(place)
        ]

    def names_files(self, name: str) -> bool:
        """Return whether `files` names the files of a source, which then form its split."""
        return name in self.files

    def wanted(self, name: str) -> list[str]:
        """Return the patterns of a source's files."""
        return [self.files[name]] if name in self.files else self.patterns

    def data_files(self, name: str, folder: Path) -> list[Path]:
        """Return the files to read in a folder."""
        if name not in self.files:
            return super().data_files(name, folder)
        return sorted(file for file in folder.glob(self.files[name]) if file.is_file())

    def run(self, stage: StageContext) -> Dataset:
        """Fetch what is missing, read, check and split.

        Raises InputError without a network, and without the package that unpacks the files.
        """
        packed = [pattern for pattern in self.files.values() if pattern.endswith(".zst")]
        if packed and find_spec("zstandard") is None:
            raise InputError(f"files: {packed[0]} is packed with Zstandard: pip install zstandard")
        return super().run(stage)

    def place(self, name: str, scratch: Path) -> str:
        """Return the folder that holds a source, or the repository when it is streamed."""
        place = self.sources[name]
        if self.stream and not is_folder(place) and not is_sample(place):
            return place
        return super().place(name, scratch)

    def options(self, name: str, split: str) -> dict[str, Any]:
        """Return further arguments of `load_dataset` for a source."""
        options: dict[str, Any] = {}
        if name in self.files:
            options["data_files"] = {split: self.files[name]}
        place, revision = self.sources[name], self.revision(name)
        if self.stream and not is_folder(place) and not is_sample(place):
            options["revision"] = resolve_commit(place, revision, "dataset") or revision
        return options
