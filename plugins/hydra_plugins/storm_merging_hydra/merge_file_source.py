"""The stages of a mergekit YAML, as an option that Hydra composes."""

from __future__ import annotations

import sys
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from storm_exp import ComposeError

OPTION = "merge_file/stages"
"""What the recipe `merge_yaml` includes."""
FILE = "merge.file"
"""The setting that names the file."""


class MergeFileSource(ConfigSource):
    """Source of one option: the stages and the graph of the file that the command line names.

    Hydra resolves options before it applies values, so the file's name is read off the command
    line.
    """

    @staticmethod
    def scheme() -> str:
        """Return the scheme of this source in Hydra's search path."""
        return "mergekit"

    def available(self) -> bool:
        """Return True."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Return whether a path is the option's folder."""
        return config_path.rstrip("/") == OPTION.partition("/")[0]

    def is_config(self, config_path: str) -> bool:
        """Return whether a path is the option."""
        return config_path.removesuffix(".yaml") == OPTION

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return nothing: the option is for the recipe alone."""
        return []

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the stages of the file; raises ComposeError without one."""
        if not self.is_config(config_path):
            raise ConfigLoadError(f"there is no option {config_path}")
        from storm_merging.mergefile.merge_file import read_merge_file
        from storm_merging.mergefile.recipe import merge_recipe

        file = named_file(sys.argv[1:])
        if file is None:
            config: DictConfig = OmegaConf.create({"merge": {"file": ""}})
        else:
            recipe = merge_recipe(read_merge_file(file), file.absolute().parent)
            config = OmegaConf.create({**recipe, "merge": {"file": ""}})
        header = {"package": "_global_"}
        return ConfigResult("storm_merging", self.full_path(), config, header=header)


class MergeFiles(SearchPathPlugin):
    """Hydra's search path, with the source above."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the source."""
        search_path.append(provider="storm_merging", path=f"{MergeFileSource.scheme()}://")


def named_file(words: list[str]) -> Path | None:
    """Return the file that a command line names, None without one; raises ComposeError."""
    given = [word for word in words if word.lstrip("+").partition("=")[0] == FILE]
    if not given:
        return None
    try:
        override = OverridesParser.create().parse_override(given[-1])
    except HydraException as error:
        raise ComposeError(
            f"{given[-1]}: cannot be read; put quotes around a path with spaces or signs, as in "
            f"'{FILE}=\"a file.yaml\"'"
        ) from error
    value = override.value()
    if override.is_sweep_override():
        raise ComposeError(
            f"{given[-1]}: a run merges by one file; sweep over its settings instead"
        )
    if not isinstance(value, str) or not value.strip():
        raise ComposeError(f"{given[-1]}: must name a mergekit YAML")
    return Path(value).expanduser()
