"""The artifact of GGUF files of a model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from storm_exp import Artifact, Spec
from storm_export.gguf.formats import GgufType
from storm_models.folder.json_file import read_json

SUMMARY = "gguf.json"
"""Summary of the files: {"files": [{type, file, bytes, tensors}], "remarks": […]}."""


@dataclasses.dataclass(kw_only=True)
class GgufSpec(Spec):
    """What is known of GGUF files before they are written."""

    types: list[str] | None = None

    def summary(self) -> str:
        """Return, for example, `bf16, q8_0`."""
        return ", ".join(self.types or [])


class GgufFiles(Artifact):
    """A model in GGUF, one file per type: model-Q8_0.gguf and so on."""

    spec_type = GgufSpec
    shown_as = "GGUF"

    def files(self) -> dict[GgufType, Path]:
        """Return {type: file}, in the order of the setting `types`."""
        entries = read_json(self.directory / SUMMARY)["files"]
        return {GgufType(entry["type"]): self.directory / entry["file"] for entry in entries}

    def remarks(self) -> list[str]:
        """Return the differences between llama.cpp with these files and transformers."""
        return [str(remark) for remark in read_json(self.directory / SUMMARY)["remarks"]]

    def spec(self) -> GgufSpec:
        """Return the types of the files."""
        return GgufSpec(types=[type_.value for type_ in self.files()])
