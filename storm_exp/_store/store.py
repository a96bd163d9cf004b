"""The store: artifacts by key, published completely or not at all."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from storm_exp._contract.digest import FileDigests, file_digest
from storm_exp._contract.errors import StoreError
from storm_exp._store.eviction import finish_replacement, make_way
from storm_exp._store.lookup import Lookup, inspect
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
"""Version of keys and manifests. Stores of another version cannot be used."""
_FORMAT_FILE, _PLACES = "format", "artifacts/*/*"


class Store:
    """A directory of artifacts that any number of processes and hosts may share."""

    def __init__(self, root: Path) -> None:
        """Open the store at `root`, which is created when it is first written to."""
        self.root = Path(root).expanduser().absolute()
        self.claims = self.root / "claims"
        """Folder with the claims of runs that go on."""
        self.digests = FileDigests(self.root / "digests.json")

    def place(self, key: str) -> Path:
        """Return the directory of a key, whether or not it exists."""
        return self.root / "artifacts" / key[:2] / key

    def scratch(self, key: str) -> Path:
        """Return the folder for intermediate files of a key, kept if its stage fails."""
        return self.root / "scratch" / key

    def lease(self, key: str) -> Lease:
        """Return the lease for making a key."""
        # Imported here, as plans need none.
        from storm_exp._store.lease import PATIENCE_SECONDS, Lease

        return Lease(self.lease_file(key), PATIENCE_SECONDS)

    def lease_file(self, key: str) -> Path:
        """Return the file of the lease for making a key; it exists while somebody holds it."""
        return self.root / "leases" / key

    def make_once(
        self, key: str, waiting: Callable[[str], None], make: Callable[[Lease, Lookup], T]
    ) -> T | None:
        """Return the result of `make`, called with the lease; None if another process made the key.

        `waiting` is called with a description of the process that this one waits for. If `make`
        fails after another process took the lease (because this one was suspended, for example),
        that process is waited for. Raises what `make` raises, and StoreError if leases cannot be
        written.
        """
        while True:
            lease = self.lease(key)
            with self._writing():
                acquired = lease.acquire(lambda: self.find(key).manifest is not None, waiting)
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
        """Raise StoreError for a store in a format that this version cannot read."""
        try:
            found = (self.root / _FORMAT_FILE).read_text(errors="replace").strip()[:20]
        except (FileNotFoundError, NotADirectoryError):
            # Stores of the first format have no such file.
            found = str(FORMAT) if next(self.root.glob(_PLACES), None) is None else "1"
        except OSError as error:
            raise StoreError(f"cannot read the store: {error}") from error
        if found != str(FORMAT):
            later = found.isdecimal() and int(found) > FORMAT
            upgrade = "pip install --upgrade storm-exp, " if later else ""
            raise StoreError(
                f"the store at {self.root} is of format {found}, and this storm-exp reads format "
                f"{FORMAT}: {upgrade}move it away (mv {self.root} {self.root}-{found}) or give "
                "another place with store.path=DIR, and what is needed of it is made again"
            )

    def find(self, key: str) -> Lookup:
        """Look up a key. Every file of an intact artifact, and of its references, has its size."""
        found = inspect(self.place(key), key)
        for reference in found.manifest.references if found.manifest is not None else []:
            if self.find(reference).manifest is None:
                return Lookup(damage=f"it references {reference[:12]}, which is not in the store")
        return found

    def prepare(self) -> None:
        """Create the store if necessary; raises StoreError if it cannot be written to."""
        with self._writing():
            for name in ("artifacts", "leases"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.root / name):
                    pass
            if not (self.root / _FORMAT_FILE).exists():
                draft = self.root / f".{_FORMAT_FILE}-{secrets.token_hex(4)}"
                draft.write_text(f"{FORMAT}\n", encoding="utf-8")
                draft.replace(self.root / _FORMAT_FILE)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"cannot write to the store at {self.root}: {error}") from error

    def open_partial(self, key: str) -> Path:
        """Return an empty folder beside the directory of a key, to be filled and published.

        Leftovers of failed attempts are removed. The caller must hold the lease.
        """
        place = self.place(key)
        with self._writing():
            place.parent.mkdir(parents=True, exist_ok=True)
            finish_replacement(place)
            for leftover in place.parent.glob(f".partial-{key}-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            partial = place.parent / f".partial-{key}-{secrets.token_hex(4)}"
            partial.mkdir()
        return partial

    def begin(self, key: str, outside: dict[str, list[int]]) -> bool:
        """Create the scratch folder of a key; return whether an outdated one was removed.

        It is outdated if the files `outside` the store were different when it was created.
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
        """Publish a filled folder under the manifest's key; return the manifest published there.

        Files that the manifest has an entry of are not digested again. If another process published
        the key first, its manifest is returned. `confirm` is called immediately before publication
        and may raise an error to prevent it.
        """
        if manifest.adopted is not None:
            manifest.files, manifest.adopted_mtimes = list_adopted(
                Path(manifest.adopted), adopted_files, self.digests
            )
        else:
            known = manifest.files
            outside, manifest.adopted_mtimes = list_adopted(partial, linked, self.digests)
            manifest.files = {**known, **list_files(partial, [*linked, *known]), **outside}
            if not manifest.files:
                raise StoreError("no file was written into the stage's directory")
        manifest.seal = manifest.sealed()
        text = json.dumps(manifest.to_json(), indent=1, sort_keys=True)
        (partial / MANIFEST).write_text(text, encoding="utf-8")
        for file in partial.rglob("*"):
            if file.is_file() and not file.is_symlink():
                with suppress(PermissionError):  # some file systems have no permissions
                    file.chmod(0o444)
        fsync_tree(partial)
        place = self.place(manifest.key)
        confirm()
        make_way(place)
        try:
            partial.rename(place)
        except OSError:
            found = self.find(manifest.key)
            if found.manifest is None:
                raise
            shutil.rmtree(partial, ignore_errors=True)
            return found.manifest
        finally:
            finish_replacement(place)
        fsync(place.parent)
        shutil.rmtree(self.scratch(manifest.key), ignore_errors=True)
        return manifest

    def note_use(self, keys: Iterable[str]) -> None:
        """Record that artifacts were used: those that were not for longest are evicted first."""
        for key in keys:
            with suppress(OSError):  # the store is somebody else's, or read-only
                os.utime(self.place(key) / MANIFEST)

    def set_aside(self, key: str) -> Path:
        """Move a damaged artifact aside and return its new place."""
        target = self.root / "damaged" / f"{key}-{_moment()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        self.place(key).rename(target)
        return target

    def note_failure(self, key: str, values: dict[str, Any]) -> Path:
        """Record that making a key failed; failures are not artifacts."""
        file = self.root / "failures" / f"{key}-{_moment()}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values, indent=1), encoding="utf-8")
        return file

    def keys(self) -> list[str]:
        """Return the key of every published artifact, in order."""
        return [place.name for place in sorted(self.root.glob(_PLACES)) if _is_key(place)]

    def strays(self) -> list[Path]:
        """Return files and folders among the artifacts that are none, such as unfinished ones."""
        return [place for place in sorted(self.root.glob(_PLACES)) if not _is_key(place)]

    def manifests(self) -> Iterator[Manifest]:
        """Yield the readable manifests of all published artifacts, ordered by key."""
        for key in self.keys():
            manifest = Manifest.read(self.place(key))
            if manifest is not None:
                yield manifest

    def resolve(self, prefix: str) -> str:
        """Return the only key that begins with `prefix`; raises StoreError for none or several."""
        keys = self.keys()
        matches = [key for key in keys if key.startswith(prefix)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise StoreError(f"{len(matches)} artifacts begin with '{prefix}': give more digits")
        raise StoreError(f"no artifact '{prefix}' in {self.root}: no such key (see store ls)")

    def verify(self, key: str) -> str:
        """Hash the files of an artifact again; return what is wrong, empty if nothing is."""
        found = self.find(key)
        if found.manifest is None:
            return found.damage or "not in the store"
        if found.manifest.seal != found.manifest.sealed():
            return f"{self.place(key) / MANIFEST} is not what was published"
        payload = found.manifest.payload(self.place(key))
        for name, (_, digest) in found.manifest.files.items():
            if file_digest(payload / name) != digest:
                return f"{payload / name} does not have the contents that were published"
        return ""


def _moment() -> str:
    """Return a name made of the time, unique among all processes and hosts."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"


def _is_key(place: Path) -> bool:
    """Return whether a path is the directory of an artifact, by its name and its parent's."""
    named = re.fullmatch("[0-9a-f]{64}", place.name) is not None
    return named and place.parent.name == place.name[:2] and place.is_dir()
