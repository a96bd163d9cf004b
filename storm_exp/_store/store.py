"""The store: artifacts under their keys, published whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from storm_exp._contract.digest import FileDigests, file_digest
from storm_exp._contract.errors import StoreError
from storm_exp._store.manifest import (
    MANIFEST,
    Manifest,
    fsync,
    fsync_tree,
    list_adopted,
    list_files,
)

if TYPE_CHECKING:
    from storm_exp._store.lease import Lease

T = TypeVar("T")

FORMAT = 2
"""Version of what keys cover and manifests hold. Raising it orphans every store."""
_FORMAT_FILE = "format"


@dataclasses.dataclass
class Found:
    """What a look at the store says about a key."""

    manifest: Manifest | None = None
    """The manifest of an artifact that can be used."""
    damage: str = ""
    """Why what lies there cannot be used; empty when nothing lies there."""


class Store:
    """A directory of artifacts that any number of processes and hosts may share."""

    def __init__(self, root: Path) -> None:
        """Open the store at `root`; it is created when first written to."""
        self.root = Path(root).expanduser().absolute()
        self.digests = FileDigests(self.root / "digests.json")

    def place(self, key: str) -> Path:
        """Return the directory of a key, whether or not it exists."""
        return self.root / "artifacts" / key[:2] / key

    def scratch(self, key: str) -> Path:
        """Return the folder that survives a crash of this key."""
        return self.root / "scratch" / key

    def lease(self, key: str) -> Lease:
        """Return the lease over the making of a key."""
        # Imported here: a run that finds everything needs none.
        from storm_exp._store.lease import PATIENCE_SECONDS, Lease

        return Lease(self.root / "leases" / key, PATIENCE_SECONDS)

    def make_once(
        self, key: str, waiting: Callable[[str], None], make: Callable[[Lease, Found], T]
    ) -> T | None:
        """Call `make` with the lease of a key, unless somebody else made the artifact: then None.

        `waiting` is told whom this process waits for. A `make` that fails after somebody took its
        lease (this process was suspended, say) did not fail: its successor is waited for. Raises
        what `make` raises, and StoreError where leases cannot be written.
        """
        while True:
            lease = self.lease(key)
            try:
                acquired = lease.acquire(lambda: self.find(key).manifest is not None, waiting)
            except OSError as error:
                raise StoreError(f"cannot write to the store at {self.root}: {error}") from error
            if not acquired:
                return None
            with lease:
                found = self.find(key)
                if found.manifest is not None:
                    return None
                try:
                    return make(lease, found)
                except Exception:
                    if self.find(key).manifest is not None:
                        return None
                    if not lease.lost():
                        raise

    def check_format(self) -> None:
        """Raise StoreError for a store in a format that this version does not read."""
        try:
            found = (self.root / _FORMAT_FILE).read_text(errors="replace").strip()[:20]
        except (FileNotFoundError, NotADirectoryError):
            # The first format left no word of itself.
            found = str(FORMAT) if next(self.root.glob("artifacts/*/*"), None) is None else "1"
        except OSError as error:
            raise StoreError(f"cannot read the store: {error}") from error
        if found != str(FORMAT):
            raise StoreError(
                f"the store at {self.root} is of format {found}, and this storm-exp reads format "
                f"{FORMAT}: move it away (mv {self.root} {self.root}-{found}) or give another "
                "place with store.path=DIR, and what is needed of it is made again"
            )

    def find(self, key: str) -> Found:
        """Look a key up: a hit has every file, and all that it references, with the right size."""
        place = self.place(key)
        if not place.is_dir():
            return Found()
        manifest = Manifest.read(place)
        if manifest is None:
            return Found(damage=f"{MANIFEST} is missing or unreadable")
        if manifest.key != key:
            return Found(damage=f"{MANIFEST} is that of {manifest.key[:12]}")
        for name, (size, _) in manifest.files.items():
            file = manifest.payload(place) / name
            try:
                status = file.stat()
            except (FileNotFoundError, NotADirectoryError):
                return Found(damage=f"{file} is gone")
            except OSError as error:
                raise StoreError(f"cannot read the store: {error}") from error
            if status.st_size != size:
                return Found(damage=f"{file} has {status.st_size} bytes, {size} were published")
            outside = manifest.adopted or name in manifest.adopted_mtimes
            if outside and manifest.adopted_mtimes.get(name) != status.st_mtime_ns:
                return Found(damage=f"{file} was touched since it was adopted")
        for reference in manifest.references:
            if self.find(reference).manifest is None:
                return Found(damage=f"it references {reference[:12]}, which is not in the store")
        return Found(manifest)

    def prepare(self) -> None:
        """Have a store that can be written to; raises StoreError otherwise."""
        try:
            for name in ("artifacts", "leases"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.root / name):
                    pass
            if not (self.root / _FORMAT_FILE).exists():
                draft = self.root / f".{_FORMAT_FILE}-{secrets.token_hex(4)}"
                draft.write_text(f"{FORMAT}\n", encoding="utf-8")
                draft.replace(self.root / _FORMAT_FILE)
        except OSError as error:
            raise StoreError(f"cannot write to the store at {self.root}: {error}") from error

    def open_partial(self, key: str) -> Path:
        """Return an empty folder beside the place of a key, to be filled and published.

        What dead makers of this key left there is removed; call with the lease held.
        """
        place = self.place(key)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            for leftover in place.parent.glob(f".partial-{key}-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            partial = place.parent / f".partial-{key}-{secrets.token_hex(4)}"
            partial.mkdir()
        except OSError as error:
            raise StoreError(f"cannot write to the store at {self.root}: {error}") from error
        return partial

    def begin(self, key: str, outside: dict[str, list[int]]) -> bool:
        """Have a scratch folder for a key; return whether there was one that had to go.

        It goes when it was begun of other files `outside` than they are now.
        """
        scratch = self.scratch(key)
        seen = scratch / ".outside.json"
        text = json.dumps(outside, sort_keys=True)
        stale = seen.is_file() and seen.read_text(encoding="utf-8") != text
        if stale:
            shutil.rmtree(scratch)
        scratch.mkdir(parents=True, exist_ok=True)
        if outside:
            seen.write_text(text, encoding="utf-8")
        return stale

    def publish(
        self,
        partial: Path,
        manifest: Manifest,
        adopted_files: Sequence[str] = (),
        linked: Sequence[str] = (),
        confirm: Callable[[], None] = lambda: None,
    ) -> Manifest:
        """Publish a filled folder under the manifest's key; return the manifest that is now there.

        Losing the race to another process is a hit: its manifest is returned. `confirm` has the
        last word, and raises to publish nothing.
        """
        if manifest.adopted is not None:
            manifest.files, manifest.adopted_mtimes = list_adopted(
                Path(manifest.adopted), adopted_files, self.digests
            )
        else:
            outside, manifest.adopted_mtimes = list_adopted(partial, linked, self.digests)
            manifest.files = {**list_files(partial, linked), **outside}
            if not manifest.files:
                raise StoreError("no file was written into the stage's directory")
        manifest.seal = manifest.sealed()
        text = json.dumps(manifest.to_json(), indent=1, sort_keys=True)
        (partial / MANIFEST).write_text(text, encoding="utf-8")
        for file in partial.rglob("*"):
            if file.is_file() and not file.is_symlink():
                with suppress(PermissionError):  # some file systems know no such thing
                    file.chmod(0o444)
        fsync_tree(partial)
        place = self.place(manifest.key)
        confirm()
        try:
            partial.rename(place)
        except OSError:
            found = self.find(manifest.key)
            if found.manifest is None:
                raise
            shutil.rmtree(partial, ignore_errors=True)
            return found.manifest
        fsync(place.parent)
        shutil.rmtree(self.scratch(manifest.key), ignore_errors=True)
        return manifest

    def set_aside(self, key: str) -> Path:
        """Move a damaged artifact out of the way and return where it is now."""
        target = self.root / "damaged" / f"{key}-{_moment()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        self.place(key).rename(target)
        return target

    def note_failure(self, key: str, values: dict[str, Any]) -> Path:
        """Record that making a key failed; a failure is never a result."""
        file = self.root / "failures" / f"{key}-{_moment()}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values, indent=1), encoding="utf-8")
        return file

    def keys(self) -> list[str]:
        """Return the key of every published artifact, in order."""
        return [place.name for place in self._places() if _is_key(place)]

    def strays(self) -> list[Path]:
        """Return what lies among the artifacts and is none: left by a dead maker, or a stranger."""
        return [place for place in self._places() if not _is_key(place)]

    def _places(self) -> list[Path]:
        return sorted(self.root.glob("artifacts/*/*"))

    def manifests(self) -> Iterator[Manifest]:
        """Yield the manifest of every published artifact that has one, ordered by key."""
        for key in self.keys():
            manifest = Manifest.read(self.place(key))
            if manifest is not None:
                yield manifest

    def resolve(self, prefix: str) -> str:
        """Return the one key that begins with `prefix`; raises StoreError otherwise."""
        keys = self.keys()
        matches = [key for key in keys if key.startswith(prefix)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise StoreError(f"{len(matches)} artifacts begin with '{prefix}': give more digits")
        raise StoreError(f"no artifact '{prefix}' in {self.root}: no key begins so (see store ls)")

    def verify(self, key: str) -> str:
        """Hash the payload again; return what is wrong, or nothing."""
        found = self.find(key)
        if found.manifest is None:
            return found.damage or "not in the store"
        if found.manifest.seal != found.manifest.sealed():
            return f"{self.place(key) / MANIFEST} does not say what was published"
        payload = found.manifest.payload(self.place(key))
        for name, (_, digest) in found.manifest.files.items():
            if file_digest(payload / name) != digest:
                return f"{payload / name} does not have the contents that were published"
        return ""


def _moment() -> str:
    """Return a name for now that no other process of any host has."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"


def _is_key(place: Path) -> bool:
    """Return whether an artifact lies at a place, as its name and the folder's say."""
    named = re.fullmatch("[0-9a-f]{64}", place.name) is not None
    return named and place.parent.name == place.name[:2] and place.is_dir()
