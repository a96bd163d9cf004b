"""The component `dataset_path`: a finished data set in a directory, used in place."""

from __future__ import annotations

from omegaconf import MISSING

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.files.parquet_splits import check_rows, check_schemas
from storm_data.files.split_settings import REHEARSED_ROWS
from storm_data.sources.dataset_excerpt import DatasetExcerpt
from storm_exp import FileDigests, SettingError, StageContext, component, setting
from storm_models.folder.existing_path import existing_path

DATASET_MENUS = ("dataset", "curator")
"""The menus whose components make a data set."""


@component(DATASET_MENUS, "dataset_path", version=1)
class DatasetPath:
    """Parquet files named by split, adopted in place: nothing is copied.

    `train.parquet`, and optionally `validation.parquet` and `rejected.parquet`, with the columns
    `id`, `source`, and `messages` (chats), `text` (documents) or `prompt`, `chosen` and `rejected`
    (preferences). A run writes such a folder to `outputs/latest/curator`.
    """

    path: str = setting(MISSING, semantic=False)
    """A directory with train.parquet, and optionally validation.parquet and rejected.parquet. The
    contents of its files enter the key, its path does not."""

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the digest of every split."""
        data = self._data()
        return {name: files.digest(data.directory / name) for name in _files(data)}

    def plan_spec(self) -> DatasetSpec:
        """Return the spec from the footers; raises InputError for anything but a data set."""
        data = self._data()
        check_schemas(data)
        return data.spec()

    def run(self, stage: StageContext) -> Dataset:
        """Adopt the directory; raises InputError for a row that cannot be used."""
        data = self._data()
        check_schemas(data)
        check_rows(data)
        stage.metric("train", data.count("train"), main=True)
        return Dataset(stage.adopt(data.directory, _files(data)))

    def rehearsal(self) -> DatasetPath | DatasetExcerpt:
        """Return an excerpt of every split; a small data set is used itself."""
        data = self._data()
        if all(data.count(name) <= REHEARSED_ROWS for name in data.splits()):
            return self
        return DatasetExcerpt(path=str(data.directory), rows=REHEARSED_ROWS)

    def _data(self) -> Dataset:
        directory = existing_path("path", self.path)
        if not directory.is_dir():
            problem = "must be a directory with train.parquet; for a JSONL file take chat_jsonl"
            raise SettingError("path", self.path, problem)
        return Dataset(directory)


def _files(data: Dataset) -> list[str]:
    return [f"{name}.parquet" for name in data.splits()]
