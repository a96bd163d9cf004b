"""Manifests: descriptions of published artifacts, read without opening their files."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, Self

from storm_exp._contract import typed_json
from storm_exp._contract.artifact import Artifact
from storm_exp._contract.digest import FileDigests, file_digest, value_digest
from storm_exp._contract.errors import StoreError

MANIFEST = "manifest.json"


@dataclasses.dataclass(kw_only=True)
class Manifest:
    """Description of an artifact, written when it is published."""

    key: str
    component: str
    version: int
    artifact: str
    """Name of the artifact type."""
    settings: dict[str, Any]
    inputs: dict[str, Any]
    """Keys per port: a key, or a list of keys."""
    fingerprint: Any
    spec: dict[str, Any]
    """Fields of the artifact's spec."""
    metrics: dict[str, float]
    main_metric: str
    files: dict[str, list[Any]]
    """{relative path: [bytes, sha256]}"""
    adopted: str | None = None
    """Directory outside the store with the files, if they were adopted."""
    adopted_mtimes: dict[str, int] = dataclasses.field(default_factory=dict)
    """Modification times (ns) of adopted files and of the targets of links."""
    shown_metrics: list[str] = dataclasses.field(default_factory=list)
    """Metrics that tables of sweeps show beside the main one."""
    measured_on: dict[str, str] = dataclasses.field(default_factory=dict)
    """{metric: digest of the data that it was measured on}, where known."""
    references: list[str] = dataclasses.field(default_factory=list)
    """Keys of artifacts that the files depend on."""
    memos: list[str] = dataclasses.field(default_factory=list)
    """Keys of memos that its stage made or used; the artifact does not depend on them."""
    made: dict[str, Any] = dataclasses.field(default_factory=dict)
    """When, where, how long and with which versions it was made, and what its stage warned of; not
    part of the key."""
    seal: str = ""
    """Digest of all other fields."""

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """Return the manifest in an artifact's directory, None if it is missing or damaged.

        Raises StoreError if reading it is not permitted.
        """
        try:
            manifest = typed_json.read(cls, directory / MANIFEST)
        except (FileNotFoundError, StoreError) as error:
            if isinstance(error.__cause__, PermissionError):
                raise
            return None
        return manifest if all(map(_is_entry, manifest.files.items())) else None

    def sealed(self) -> str:
        """Return the digest of all other fields."""
        # As it will be read back: JSON has no tuples, and keys of dicts are strings.
        values = json.loads(json.dumps(self.to_json() | {"seal": ""}))
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def digest(self) -> str:
        """Return a digest of the names and contents of the files."""
        return value_digest({name: entry[1] for name, entry in self.files.items()})

    def payload(self, directory: Path) -> Path:
        """Return the directory of the files, given the artifact's directory in the store."""
        return Path(self.adopted) if self.adopted is not None else directory


def referenced(artifact: Artifact, key: str) -> Path:
    """Return the directory with the files of an artifact that another one references.

    Raises StoreError if it is not in the store.
    """
    place = artifact.directory.parents[1] / key[:2] / key
    manifest = Manifest.read(place)
    if manifest is None:
        raise StoreError(f"{artifact.directory.name[:12]} refers to {key[:12]}, which is gone")
    return manifest.payload(place)


def _is_entry(item: tuple[str, list[Any]]) -> bool:
    """Return whether an entry of `files` is well-formed, with a path inside the artifact."""
    path, entry = PurePath(item[0]), item[1]
    inside = not path.is_absolute() and ".." not in path.parts
    return inside and len(entry) == 2 and isinstance(entry[0], int) and isinstance(entry[1], str)


def list_files(directory: Path, known: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Return {relative path: [bytes, sha256]} of the files of a directory except `known` ones.

    Raises StoreError for other links and for anything that is not a regular file.
    """
    files: dict[str, list[Any]] = {}
    for path in sorted(directory.rglob("*")):
        if path.parent == directory and path.name in known:
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StoreError(f"{path}: an artifact holds plain files and folders only")
        if path.is_file() and path != directory / MANIFEST:
            name = str(path.relative_to(directory))
            files[name] = [path.stat().st_size, file_digest(path)]
    return files


def list_adopted(
    directory: Path, names: Sequence[str], digests: FileDigests
) -> tuple[dict[str, list[Any]], dict[str, int]]:
    """Return the files and modification times (ns) of files outside the store."""
    files, mtimes = {}, {}
    for name in names:
        file = directory / name
        status = file.stat()
        files[name] = [status.st_size, digests.digest(file)]
        mtimes[name] = status.st_mtime_ns
    return files, mtimes


def fsync_tree(directory: Path) -> None:
    """Flush every file and folder of a tree to the disk."""
    for path in [*directory.rglob("*"), directory]:
        if not path.is_symlink():
            fsync(path)


def fsync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Network file systems may refuse it for folders, whose entries the server stores.
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP, errno.EBADF)):
            raise
    finally:
        os.close(descriptor)
