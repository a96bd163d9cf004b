"""A journal of a shard's finished batches, from which an interrupted stage resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Journal:
    """Results of batches in order, each written to a file immediately, one JSON value per line.

    An incomplete last line is dropped. The batches must depend on the shard alone.
    """

    def __init__(self, file: Path) -> None:
        """Read the journal in `file`, if it exists."""
        self._file = file
        self.entries: list[Any] = []
        """Results read from the file or appended."""
        complete = 0
        for line in file.read_bytes().splitlines(keepends=True) if file.is_file() else []:
            try:
                self.entries.append(json.loads(line))
            except ValueError:
                break
            if not line.endswith(b"\n"):
                self.entries.pop()
                break
            complete += len(line)
        if file.is_file():
            with file.open("r+b") as stream:
                stream.truncate(complete)

    def append(self, result: Any) -> None:
        """Write the result of the next batch, a JSON value."""
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(result) + "\n")
        self.entries.append(result)

    def remove(self) -> None:
        """Delete the file once the whole shard is stored."""
        self._file.unlink(missing_ok=True)
