"""The table of a model's matrices with their signal-to-noise ratios."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, TypedDict

from storm_exp import Artifact, InputError, Spec


class LayerRow(TypedDict):
    """One matrix of a model."""

    name: str
    """Name of the tensor, as in the checkpoint."""
    type: str
    """One of storm_training.trainable.matrices.MODULE_TYPES, such as q_proj."""
    layer: int
    shape: list[int]
    snr: float


@dataclasses.dataclass(kw_only=True)
class LayerTableSpec(Spec):
    """The properties of a table that are known before the matrices are read."""

    shapes: str | None = None
    """The `shapes` digest of the scanned checkpoint."""
    modules: int | None = None
    """Number of matrices."""

    def summary(self) -> str:
        """Return, for example, `42 matrices`."""
        return "" if self.modules is None else f"{self.modules} matrices"


class LayerTable(Artifact):
    """`layers.json`: {"shapes": digest of the model's tensor shapes, "modules": [LayerRow, …]}."""

    spec_type = LayerTableSpec

    def content(self) -> dict[str, Any]:
        """Return the file's content; raises InputError when it is missing or damaged."""
        file = self.directory / "layers.json"
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            return {"shapes": str(content["shapes"]), "modules": list(content["modules"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file}: not a table of layers ({error!r})") from error

    def shapes(self) -> str:
        """Return the `shapes` digest of the scanned checkpoint."""
        return str(self.content()["shapes"])

    def modules(self) -> list[LayerRow]:
        """Return the rows, by layer and then in the order of the module types."""
        return list(self.content()["modules"])

    def write(self, shapes: str, modules: list[LayerRow]) -> None:
        """Write the table."""
        text = json.dumps({"shapes": shapes, "modules": modules}, indent=1)
        (self.directory / "layers.json").write_text(text + "\n", encoding="utf-8")

    def spec(self) -> LayerTableSpec:
        """Read the shapes digest and the number of matrices."""
        content = self.content()
        return LayerTableSpec(shapes=content["shapes"], modules=len(content["modules"]))


def require_same_model(model: str | None, table: str | None) -> None:
    """Raise InputError when two known `shapes` digests, of a model and of a table, differ."""
    if model is not None and table is not None and model != table:
        raise InputError("the table of layers belongs to a model with other tensors than this one")
