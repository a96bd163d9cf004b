"""What has been computed of a shard so far, a line a batch: an interrupted one goes on from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Journal:
    """Results of batches in their order, kept in a file as soon as they are there.

    A line that a kill cut short is computed again. Batches must follow from the shard alone.
    """

    def __init__(self, file: Path) -> None:
        """Open the journal in `file`, which need not exist."""
        self._file = file
        self.entries: list[Any] = []
        """What was found, and what is appended."""
        whole = 0
        for line in file.read_bytes().splitlines(keepends=True) if file.is_file() else []:
            try:
                self.entries.append(json.loads(line))
            except ValueError:
                break
            if not line.endswith(b"\n"):
                self.entries.pop()
                break
            whole += len(line)
        if file.is_file():
            with file.open("r+b") as stream:
                stream.truncate(whole)

    def append(self, result: Any) -> None:
        """Keep the result of the next batch, a JSON value."""
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(result) + "\n")
        self.entries.append(result)

    def remove(self) -> None:
        """Forget the batches: the whole shard is kept elsewhere."""
        self._file.unlink(missing_ok=True)
