"""Digests of files and values: sha256, cached so that large files are read once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import time
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 1 << 22
_SETTLED_NS = 1_000_000_000


def file_digest(file: Path) -> str:
    """Return the sha256 of a file's contents, in hexadecimal."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """Return the canonical JSON of a value; raises TypeError or ValueError if it has none."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def value_digest(value: Any) -> str:
    """Return the sha256 of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


class FileDigests:
    """Cache of file digests by real path, size, mtime and inode, stored in one small file."""

    def __init__(self, memory: Path) -> None:
        """Use the file `memory` as the cache; a damaged one is ignored."""
        self._memory = memory
        self._known: dict[str, list[Any]] = {}
        with contextlib.suppress(OSError, ValueError, RecursionError):
            known = json.loads(memory.read_text(encoding="utf-8"))
            self._known = dict(filter(_is_known, known.items())) if isinstance(known, dict) else {}

    def digest(self, file: Path | str) -> str:
        """Return the sha256 of a file; it is read only if it changed since the last time."""
        path = Path(file).resolve()
        status = path.stat()
        mark = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self._known.get(str(path))
        if known is not None and known[:3] == mark:
            return str(known[3])
        digest = file_digest(path)
        # A file written a moment ago may change again within the resolution of its mtime.
        if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
            self._known[str(path)] = [*mark, digest]
            self._save()
        return digest

    def _save(self) -> None:
        # On a full disk or in a read-only store, files are read again the next time.
        with contextlib.suppress(OSError):
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            partial = self._memory.with_name(f"{self._memory.name}.{secrets.token_hex(4)}")
            partial.write_text(json.dumps(self._known), encoding="utf-8")
            partial.replace(self._memory)


def _is_known(item: tuple[str, Any]) -> bool:
    known = item[1]
    return isinstance(known, list) and len(known) == 4 and isinstance(known[3], str)


class NotedDigests(FileDigests):
    """File digests that record which files were asked for."""

    def __init__(self, digests: FileDigests) -> None:
        """Get digests from `digests`."""
        self._digests = digests
        self.asked: dict[str, str] = {}
        """{absolute path: digest}"""

    def digest(self, file: Path | str) -> str:
        """Return the sha256 of a file."""
        digest = self._digests.digest(file)
        self.asked[str(Path(file).absolute())] = digest
        return digest
