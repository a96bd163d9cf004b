"""Files of presets and recipes, checked before Hydra reads them."""

import os
import re
from typing import Any

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource as HydrasFiles
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException

from storm_exp import InputError
from storm_exp._contract.plugins import load_plugins

MOST_BYTES, MOST_VALUES, DEEPEST = 1_000_000, 10_000, 40
"""Limits of a file. A few lines of aliases can expand to more values than fit into memory."""
_OPTION = re.compile(r"(?!_self_$)\w[\w./-]*")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class FileConfigSource(HydrasFiles):
    """Source of configurations in files, whose errors name the file.

    It is named as Hydra's, which takes a second source of files only under the first one's name.
    """

    def is_group(self, config_path: str) -> bool:
        """Return whether a folder is a menu. `graph` is none: recipes include what lies there.

        So `graph={...}` on a command line stays a value, the edges of stages.
        """
        return config_path != "graph" and super().is_group(config_path)

    def load_config(self, config_path: str) -> ConfigResult:
        """Return a file's contents; raises InputError unless it is a preset or recipe."""
        name = self._normalize_file_name(config_path)
        file = os.path.realpath(os.path.join(self.path, name))  # noqa: PTH118
        if not os.path.isfile(file):  # noqa: PTH113
            raise ConfigLoadError(f"there is no file {file}")
        try:
            _check_size(file)
            result = super().load_config(config_path)
        except yaml.YAMLError as error:
            raise InputError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{file}: not UTF-8 (byte {error.start})") from error
        except (OSError, ValueError, TypeError, OmegaConfBaseException) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{file}: {reason}") from error
        if not isinstance(result.config, DictConfig):
            raise InputError(f"{file}: must hold settings, as in name: value")
        _check_keys(file, result.config)
        menu, _, option = config_path.partition("/")
        if option and menu in load_plugins().menus():
            _name_as_in_menu(menu, result.config)
        return result


def _check_size(file: str) -> None:
    """Raise InputError for a file that is too large or too deep, with aliases expanded."""
    with open(file, encoding="utf-8") as stream:  # noqa: PTH123
        text = stream.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise InputError(f"{file}: larger than {MOST_BYTES // 1_000_000} MB")
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=_Loader):
        size, anchor = 0, getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == name for name, _ in open_nodes):
                raise InputError(f"{file}: the alias *{anchor} stands for something that holds it")
            size = sizes.get(str(anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
            if event.value == "_target_":
                raise InputError(f"{file}: _target_: import paths are not settings")
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((anchor, 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_nodes.pop()
        if anchor is not None and size:
            sizes[anchor] = size
        name, before = open_nodes[-1]
        open_nodes[-1] = name, before + size
        if before + size > MOST_VALUES:
            raise InputError(f"{file}: more than {MOST_VALUES:,} values")
        if len(open_nodes) > DEEPEST:
            raise InputError(f"{file}: nests more than {DEEPEST} deep")


def _check_keys(file: str, config: DictConfig) -> None:
    """Raise InputError for names that are not strings, and for an invalid defaults list."""
    for key in config:
        if not isinstance(key, str):
            raise InputError(f"{file}: {key!r}: the name of a setting must be a text")
    if "defaults" not in config:
        return
    defaults = config._get_node("defaults")
    if not isinstance(defaults, ListConfig):
        raise InputError(f"{file}: defaults must be a list, as in [slerp, _self_]")
    for item in defaults._iter_ex(resolve=False):
        pair = item.items_ex(resolve=False) if isinstance(item, DictConfig) else [(item, "")]
        pair = list(pair)
        if len(pair) != 1 or not _is_default(*pair[0]):
            raise InputError(
                f"{file}: defaults: {item!r} is neither an option (slerp) nor one of a menu "
                "({/merger: slerp})"
            )


def _is_default(key: Any, value: Any) -> bool:
    values = list(value) if isinstance(value, ListConfig) else [value]
    return (
        isinstance(key, str)
        and key.strip() not in ("", "???")
        and all(each is None or isinstance(each, str) for each in values)
    )


def _name_as_in_menu(menu: str, config: DictConfig) -> None:
    """Read the names in a preset's defaults as options of its menu, as one types them.

    To Hydra they are relative to the folder by which the file was reached, and what is included
    from a folder further down is a part of the settings, by that folder's name.
    """
    if "defaults" not in config:
        return
    items = list(config._get_node("defaults")._iter_ex(resolve=False))
    config["defaults"] = [
        f"/{menu}/{item}@_here_" if isinstance(item, str) and _OPTION.fullmatch(item) else item
        for item in items
    ]
