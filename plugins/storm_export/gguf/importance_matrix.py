"""The artifact of an importance matrix: how large the inputs of each matrix are, per channel."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp import Artifact, Spec
from storm_models.folder.json_file import read_json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FILE, SUMMARY = "imatrix.gguf", "imatrix.json"
_SUMS, _COUNTS = ".in_sum2", ".counts"


@dataclasses.dataclass(kw_only=True)
class ImportanceMatrixSpec(Spec):
    """What is known of an importance matrix before it is measured."""

    shapes: str | None = None
    """The `shapes` digest of the measured checkpoint."""
    samples: int | None = None
    """Most calibration rows."""

    def summary(self) -> str:
        """Return, for example, `up to 512 rows`."""
        return "" if self.samples is None else f"up to {self.samples} rows"


class ImportanceMatrix(Artifact):
    """`imatrix.gguf`, as llama.cpp's llama-imatrix writes it, and `imatrix.json`, its origin.

    For each matrix of the layers, by its name in GGUF, the file holds the sum of squares of each
    input channel and the number of tokens.
    """

    spec_type = ImportanceMatrixSpec
    shown_as = "importance matrix"

    @property
    def file(self) -> Path:
        """The file that llama-quantize takes too."""
        return self.directory / FILE

    def spec(self) -> ImportanceMatrixSpec:
        """Read the shapes digest and the number of rows asked for."""
        content = read_json(self.directory / SUMMARY)
        return ImportanceMatrixSpec(shapes=content["shapes"], samples=content["samples"])


def write_matrix(
    file: Path, sums: Mapping[str, npt.NDArray[np.float64]], tokens: int, rows: int, source: str
) -> None:
    """Write sums of squares by channel, over `tokens` tokens in `rows` rows of the data `source`.

    llama.cpp reads texts in chunks of equal length; a chunk is a row here, of the mean length.
    """
    import gguf
    import numpy as np

    class Writer(gguf.GGUFWriter):
        def add_architecture(self) -> None:
            """Such a file has no architecture."""

    writer = Writer(file, "")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", [source])
    writer.add_uint32("imatrix.chunk_count", rows)
    writer.add_uint32("imatrix.chunk_size", max(1, round(tokens / rows)))
    for name in sorted(sums):
        writer.add_tensor(name + _SUMS, sums[name].astype(np.float32)[None])
        writer.add_tensor(name + _COUNTS, np.array([[tokens]], dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_matrix(file: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Return {matrix: mean square of each input channel}."""
    import gguf

    found = {tensor.name: tensor.data for tensor in gguf.GGUFReader(file).tensors}
    return {
        name.removesuffix(_SUMS): (sums / found[name.removesuffix(_SUMS) + _COUNTS]).reshape(-1)
        for name, sums in found.items()
        if name.endswith(_SUMS)
    }
