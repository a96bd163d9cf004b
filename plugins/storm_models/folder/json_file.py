"""JSON objects in files from outside, read within bounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from storm_exp import InputError

LARGEST = 1 << 28
"""Bytes of the largest file that is read; the largest tokenizers are a tenth of it."""


def read_json(file: Path) -> dict[str, Any]:
    """Return a JSON object from a file; raises InputError that names the file.

    Files longer than `LARGEST`, or nested too deeply for Python, are refused as well.
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
