"""GGUF files of one model as an artifact."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from storm_exp import Artifact, Spec
from storm_export.gguf.formats import GgufType
from storm_models.folder.json_file import read_json

SUMMARY = "gguf.json"
"""What was written: {"files": [{type, file, bytes, tensors}], "remarks": […]}."""


@dataclasses.dataclass(kw_only=True)
class GgufSpec(Spec):
    """What is known of GGUF files before they are written."""

    types: list[str] | None = None

    def summary(self) -> str:
        """Return, for example, `bf16, q8_0`."""
        return ", ".join(self.types or [])


class GgufFiles(Artifact):
    """A model in GGUF, once for every type: model-Q8_0.gguf and so on."""

    spec_type = GgufSpec
    shown_as = "GGUF"

    def files(self) -> dict[GgufType, Path]:
        """Return {type: file}, in the order in which they were asked for."""
        entries = read_json(self.directory / SUMMARY)["files"]
        return {GgufType(entry["type"]): self.directory / entry["file"] for entry in entries}

    def remarks(self) -> list[str]:
        """Return what llama.cpp does otherwise with them than transformers with the model."""
        return [str(remark) for remark in read_json(self.directory / SUMMARY)["remarks"]]

    def spec(self) -> GgufSpec:
        """Read which types there are."""
        return GgufSpec(types=[type_.value for type_ in self.files()])
