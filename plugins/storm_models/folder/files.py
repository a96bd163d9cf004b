"""Which files of a folder belong to a checkpoint, for reading, copying and keys alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from storm_exp import InputError
from storm_models.folder.json_file import read_json

TEMPLATE_FILE = "chat_template.jinja"
SUM_FILE = "weighted_sum.json"
"""The file in place of weights where a checkpoint is a sum of others."""
CHAT_FILE = "chat.json"
"""Variables of the chat template: {"arguments": {…}, "date": …}."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    TEMPLATE_FILE,
    CHAT_FILE,
)
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
"""Files any one of which makes a tokenizer."""
SURGERY_FILE = "surgery.json"
"""The record of a changed depth: {"source_layers": […], "new_layers": […]}."""

OF_THE_MODEL = ("config.json", "generation_config.json", SURGERY_FILE)
"""Files that belong to the weights; the tokenizer's can be used with other weights."""

COMPANION_FILES = (*OF_THE_MODEL, *TOKENIZER_FILES)
"""The files beside the weights."""

WEIGHT_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"


@dataclasses.dataclass(frozen=True)
class CheckpointFiles:
    """The names of a checkpoint's files in its folder."""

    companions: tuple[str, ...]
    """Config, tokenizer, generation config, records."""
    weights: tuple[str, ...]
    """The safetensors files in the order in which transformers reads them; none for a sum."""
    index: str | None
    """The index that names the weight files, None for a single file."""
    ignored_index: str | None
    """An index beside a single weight file, which transformers does not read."""

    def names(self) -> list[str]:
        """Return the names of all files that make up the checkpoint, and no others."""
        index = () if self.index is None else (self.index,)
        return [*self.companions, *index, *self.weights]


def checkpoint_files(directory: Path) -> CheckpointFiles:
    """Return the files of the checkpoint in `directory`, chosen as transformers chooses them.

    `model.safetensors` takes precedence over an index. Raises InputError where there are no
    weights, for an index that transformers could not read or that names files outside the folder,
    and as `companion_files` does.
    """
    companions = tuple(companion_files(directory))
    index = directory / INDEX_FILE
    if (directory / WEIGHT_FILE).is_file():
        ignored = INDEX_FILE if index.is_file() else None
        return CheckpointFiles(companions, (WEIGHT_FILE,), None, ignored)
    if not index.is_file() and (directory / SUM_FILE).is_file():
        return CheckpointFiles(companions, (), None, None)
    if not index.is_file():
        raise InputError(f"{directory}: no {WEIGHT_FILE} (weights in safetensors)")
    weights = tuple(_shards(index, read_json(index)))
    missing = [name for name in weights if not (directory / name).is_file()]
    if missing:
        raise InputError(f"{directory}: no {', '.join(missing[:3])} (weights in safetensors)")
    return CheckpointFiles(companions, weights, INDEX_FILE, None)


def is_complete(directory: Path) -> bool:
    """Return whether all files that a checkpoint needs exist, without checking their contents."""
    present = {name for name in COMPANION_FILES if (directory / name).is_file()}
    if "config.json" not in present or not present & set(_TOKENIZERS):
        return False
    index = directory / INDEX_FILE
    if (directory / WEIGHT_FILE).is_file() or not index.is_file():
        return (directory / WEIGHT_FILE).is_file()
    return all((directory / name).is_file() for name in _shards(index, read_json(index)))


def companion_files(directory: Path) -> list[str]:
    """Return the names of the files beside the weights.

    Raises InputError for a link out of the folder: its target may not be meant to be shared, and
    would be copied into every model made from this one. Links of the hub's cache to its own blobs
    are allowed. Weights may lie anywhere.
    """
    present = [name for name in COMPANION_FILES if (directory / name).is_file()]
    root = directory.resolve()
    for name in present:
        target = (directory / name).resolve()
        if not any(target.is_relative_to(place) for place in (root, *_blobs(root))):
            raise InputError(
                f"{directory}/{name} is a link out of the folder: put a copy in its place, if it "
                "belongs to the model"
            )
    return present


def _blobs(root: Path) -> list[Path]:
    """Return the folder of blobs that a snapshot in the hub's cache links to, if it is one."""
    inside = root.parent.name == "snapshots"
    return [(root.parents[1] / "blobs").resolve()] if inside else []


def _shards(index: Path, content: dict[str, Any]) -> list[str]:
    """Return the files that an index names, in the order in which they are read."""
    files_by_tensor = content.get("weight_map")
    if not isinstance(files_by_tensor, dict) or not files_by_tensor:
        raise InputError(f"{index}: no weight_map that says which file holds which tensor")
    if not isinstance(content.get("metadata"), dict):
        raise InputError(f"{index}: no metadata, without which transformers does not read it")
    for tensor, name in files_by_tensor.items():
        if not isinstance(name, str) or not _is_plain(name):
            raise InputError(
                f"{index}: weight_map puts {tensor} in {name!r}, which is not the name of a "
                "safetensors file of the folder"
            )
    return sorted(set(files_by_tensor.values()))


def _is_plain(name: str) -> bool:
    """Return whether a name stands for a file in the same folder, on every system."""
    return name.isprintable() and not set(name) & set("/\\:") and name.endswith(".safetensors")
