"""What generation_config.json says, in the file's own words.

Every component that writes a model carries the file over as it is (`Checkpoint.copy_companions`):
what transformers would not write itself, such as a temperature without do_sample, stays. Whoever
changes what a model stops at changes the file here.
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

    Raises InputError, naming `source`, for what is no id and no list of them.
    """
    found: dict[str, list[int]] = {}
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        value = content.get(name)
        if value is None:
            continue
        ids = value if isinstance(value, list) else [value]
        if any(type(each) is not int for each in ids):
            raise InputError(
                f"{source}: {name}={value!r} is neither a token's id nor a list of ids"
            )
        found[name] = ids
    return found
