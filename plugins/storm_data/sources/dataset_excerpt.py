"""The component `dataset_excerpt`: the first rows of a finished data set, for rehearsals."""

from __future__ import annotations

from pathlib import Path

from omegaconf import MISSING

from storm_data.dataset import Dataset
from storm_data.files.parquet_splits import check_rows
from storm_data.files.split_settings import REHEARSED_ROWS
from storm_exp import FileDigests, StageContext, component, setting


@component("twin", "dataset_excerpt", version=1)
class DatasetExcerpt:
    """The first rows of every split of a finished data set, for rehearsals."""

    path: str = setting(MISSING, semantic=False)
    """The directory. The contents of its files enter the key, its path does not."""
    rows: int = setting(REHEARSED_ROWS, at_least=1)
    """Rows of every split."""

    stands_for = "the first rows of its splits"

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the digest of every split."""
        folder = Path(self.path)
        return {file.name: files.digest(file) for file in sorted(folder.glob("*.parquet"))}

    def run(self, stage: StageContext) -> Dataset:
        """Write the rows; raises InputError for one that cannot be used."""
        source, excerpt = Dataset(Path(self.path)), Dataset(stage.directory)
        for name in source.splits():
            table = source.table(name)
            excerpt.write(name, table.slice(0, self.rows).to_pylist(), table.schema)
        check_rows(excerpt)
        stage.metric("train", excerpt.count("train"), main=True)
        return excerpt
