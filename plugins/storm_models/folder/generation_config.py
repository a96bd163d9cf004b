"""Reading and writing generation_config.json, without interpretation.

Components that write a model copy the file unchanged (`Checkpoint.copy_companions`): what
transformers would refuse to write, such as a temperature without do_sample, stays. Stop tokens are
changed here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storm_exp import InputError
from storm_models.folder.json_file import read_json

GENERATION_FILE = "generation_config.json"


def read_generation_config(directory: Path) -> dict[str, Any] | None:
    """Return the contents of a folder's file, None where there is none; raises InputError."""
    file = directory / GENERATION_FILE
    return read_json(file) if file.is_file() else None


def write_generation_config(directory: Path, content: Mapping[str, Any]) -> None:
    """Write the contents into a folder, in the form that transformers writes."""
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    (directory / GENERATION_FILE).write_text(text, encoding="utf-8")


def special_ids(content: Mapping[str, Any], source: str) -> dict[str, list[int]]:
    """Return {bos_token_id, eos_token_id, pad_token_id: ids} of a config, absent ones left out.

    Raises InputError, naming `source`, for a value that is neither an id nor a list of ids.
    """
    result: dict[str, list[int]] = {}
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        value = content.get(name)
        if value is None:
            continue
        ids = value if isinstance(value, list) else [value]
        if any(type(token) is not int for token in ids):
            raise InputError(
                f"{source}: {name}={value!r} is neither a token's id nor a list of ids"
            )
        result[name] = ids
    return result
