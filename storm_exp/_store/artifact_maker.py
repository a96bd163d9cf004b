"""Maker of everything that a store contains: take the lease, fill a folder, publish it.

Artifacts are made once among all processes of a store, and so are memos: by-products of stages
that depend on artifacts alone, such as the angles between two models, kept for other stages.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp._contract.artifact import MemoFill
from storm_exp._contract.digest import value_digest
from storm_exp._contract.progress import Progress
from storm_exp._contract.runtime import Runtime
from storm_exp._contract.stage_context import StageContext
from storm_exp._store.adopted_files import ChangedError, Marks, compare, marks_of_adopted
from storm_exp._store.eviction import changed_files
from storm_exp._store.lookup import Lookup
from storm_exp._store.manifest import Manifest
from storm_exp._store.store import Store

if TYPE_CHECKING:
    from storm_exp._store.lease import Lease


@dataclasses.dataclass
class MadeArtifact:
    """Result of a request for an artifact."""

    manifest: Manifest
    made_here: bool
    """False if another process made it while this one waited."""
    seconds: float


class Maker:
    """Makes missing artifacts and memos, each once among all processes that share the store."""

    def __init__(self, store: Store, runtime: Runtime, log: Path | None = None) -> None:
        """Publish into `store`; messages of stages are also appended to `log`."""
        self.store = store
        self._runtime = runtime
        self._log = log

    def stage(self, name: str, key: str, directory: Path) -> StageContext:
        """Return the context of a stage that fills or reads a directory of this store."""
        scratch = self.store.scratch(key)
        stage = StageContext(name, directory, scratch, self._runtime, self._log)
        stage.keep_memo = self.memo
        return stage

    def make(
        self,
        key: str,
        name: str,
        kind: str,
        look: Callable[[], Marks],
        fill: Callable[[StageContext], Manifest],
    ) -> MadeArtifact:
        """Fill a folder by `fill` and publish it under a key, or wait for a process that does.

        `name` and `kind` appear in messages. `look` returns the marks of the files outside the
        store that the result depends on, and raises ChangedError if they are not what the key
        covers; the result is published only if they are the same afterwards. Raises what `fill`
        raises.
        """
        started = time.monotonic()

        def tell(owner: str) -> None:
            Progress.write(f"  {name}: waiting for {owner}, which is making it")

        def attempt(lease: Lease, found: Lookup) -> MadeArtifact:
            if found.damage:
                aside = self.store.set_aside(key)
                Progress.write(
                    f"  {name}: the {kind} in the store cannot be used "
                    f"({found.damage}); it was moved to {aside} and is made again"
                )
            return self._attempt(key, name, lease, look, fill, found.evicted)

        made = self.store.make_once(key, tell, attempt)
        if made is not None:
            return made
        manifest = self.store.find(key).manifest
        assert manifest is not None
        return MadeArtifact(manifest, False, time.monotonic() - started)

    def _attempt(
        self,
        key: str,
        name: str,
        lease: Lease,
        look: Callable[[], Marks],
        fill: Callable[[StageContext], Manifest],
        former: Manifest | None,
    ) -> MadeArtifact:
        store = self.store
        partial = store.open_partial(key)
        stage = self.stage(name, key, partial)
        stage.superseded = lambda: lease.taken
        started = time.monotonic()
        try:
            before = look()
            if store.begin(key, before):
                stage.say("files outside the store changed since it started, so it starts again")
            manifest = fill(stage)
            seconds = time.monotonic() - started
            manifest.made |= {
                "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "seconds": round(seconds, 3),
            }
            published = store.publish(
                partial,
                manifest,
                stage.adopted_files,
                stage.linked,
                lambda: compare(before, look()),
            )
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, ChangedError):  # the scratch may come from other contents
                shutil.rmtree(store.scratch(key), ignore_errors=True)
            raise
        changed = changed_files(former, published) if former is not None else []
        if changed:
            stage.say(
                f"{', '.join(changed)}: not what was evicted, although the key is the same; what "
                "was built from it before is kept as it is"
            )
        return MadeArtifact(published, published is manifest, seconds)

    def memo(
        self, name: str, version: int, inputs: Mapping[str, str | list[str]], fill: MemoFill
    ) -> tuple[str, Path]:
        """Return key and folder of the memo `name` of artifacts, given by their keys.

        The package of `fill` keeps memos of equal names in two plugins apart. `version` is to be
        raised when `fill` gives a different result. Raises what `fill` raises, and ChangedError if
        an adopted file of an input was written meanwhile.
        """
        package = getattr(fill, "func", fill).__module__.partition(".")[0]  # of a partial, too
        key = value_digest([package, {"memo": name, "version": version, "inputs": inputs}])
        if self.store.find(key).manifest is None:
            given = [[keys] if isinstance(keys, str) else keys for keys in inputs.values()]
            parents = [each for keys in given for each in keys]

            def run(stage: StageContext) -> Manifest:
                return Manifest(
                    key=key,
                    component=name,
                    version=version,
                    artifact="memo",
                    settings={},
                    inputs=dict(inputs),
                    fingerprint=None,
                    spec={},
                    metrics={},
                    main_metric="",
                    files=fill(stage.directory) or {},
                )

            self.make(key, name, "memo", lambda: marks_of_adopted(parents, self.store), run)
        return key, self.store.place(key)
