"""JSON objects in files that somebody else wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from storm_exp import InputError

LARGEST = 1 << 28
"""Bytes of the largest file that is read; the largest tokenizers have a tenth."""


def read_json(file: Path) -> dict[str, Any]:
    """Return a JSON object from a file; raises InputError that names the file.

    Also for one that is longer than `LARGEST`, or nested more deeply than Python reads.
    """
    try:
        size = file.stat().st_size
        if size > LARGEST:
            raise InputError(f"{file}: {size:,} bytes; at most {LARGEST:,} are read as JSON")
        content = json.loads(file.read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{file.parent}: no {file.name}") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from error
    except RecursionError as error:
        raise InputError(f"{file}: JSON that is nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{file}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object")
    return content
