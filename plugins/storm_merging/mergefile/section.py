"""The root section `merge` of a configuration."""

from __future__ import annotations

import dataclasses

from storm_exp import SettingError


@dataclasses.dataclass
class MergeSection:
    """Where the recipe `merge_yaml` finds its merge."""

    file: str = ""
    """A mergekit YAML."""

    def __post_init__(self) -> None:
        if not self.file:
            raise SettingError("file", self.file, "names no mergekit YAML: write merge.file=FILE")
