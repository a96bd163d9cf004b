"""The artifact of a scan of width: the importance of channels, neurons and heads."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from storm_exp import Artifact, InputError, Spec
from storm_models.folder.json_file import read_json

if TYPE_CHECKING:
    import torch

AXES = ("channels", "neurons", "heads")


@dataclasses.dataclass(kw_only=True)
class ImportanceSpec(Spec):
    """The properties of importances that are known before they are measured."""

    shapes: str | None = None
    """The `shapes` digest of the scanned checkpoint."""
    samples: int | None = None
    """Most calibration rows."""

    def summary(self) -> str:
        """Return, for example, `up to 1024 rows`."""
        return "" if self.samples is None else f"up to {self.samples} rows"


class Importance(Artifact):
    """`importance.safetensors`, fp64, and `importance.json`, which says how it was measured.

    `channels` is (hidden,), summed over the layers; `neurons` (layers, inner); `heads` (layers,
    heads). Higher is more important; values of different layers are not comparable.
    """

    spec_type = ImportanceSpec

    def values(self) -> dict[str, torch.Tensor]:
        """Return the importances by axis; raises InputError when they are damaged."""
        from storm_models.folder.tensor_file import TensorReader

        with TensorReader(self.directory / "importance.safetensors") as reader:
            if set(reader.entries) != set(AXES):
                raise InputError(f"{self.directory}: not importances of {', '.join(AXES)}")
            return {name: reader.tensor(name) for name in AXES}

    def content(self) -> dict[str, Any]:
        """Return `importance.json`; raises InputError when it is missing or damaged."""
        return read_json(self.directory / "importance.json")

    def spec(self) -> ImportanceSpec:
        """Read the shapes digest and the number of rows."""
        content = self.content()
        return ImportanceSpec(shapes=content["shapes"], samples=content["samples"])
