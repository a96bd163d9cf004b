"""The file in which a training keeps its first packed rows, for the report and `look`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

EXAMPLES_FILE = "training_examples.json"
LEGEND = "the loss counts these tokens; all others are context"


def read_examples(directory: Path) -> dict[str, Any]:
    """Return `packing` (how rows are packed), `examples`, and the `longest` and `cut` of rows."""
    content: dict[str, Any] = json.loads((directory / EXAMPLES_FILE).read_text(encoding="utf-8"))
    return content
