"""Making an artifact: lease, run, publish."""

from __future__ import annotations

import dataclasses
import platform
import resource
import shutil
import socket
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_exp._contract.artifact import Artifact
from storm_exp._contract.component import Component
from storm_exp._contract.errors import Interrupted, StageError, StormError
from storm_exp._contract.progress import Progress
from storm_exp._contract.stage_context import Runtime, StageContext
from storm_exp._plan.difference import source_digest
from storm_exp._plan.key import semantic_settings
from storm_exp._plan.outside import ChangedError, compare, look
from storm_exp._plan.plan import PlannedArtifact
from storm_exp._run.launch import run_in_workers, wants_workers
from storm_exp._run.signals import Signals
from storm_exp._store.manifest import Manifest
from storm_exp._store.store import Found, Store

if TYPE_CHECKING:
    from storm_exp._store.lease import Lease


@dataclasses.dataclass
class MadeArtifact:
    """The outcome of asking for one artifact."""

    manifest: Manifest
    made_here: bool
    """False when another process made it while this one waited."""
    seconds: float
    peak_memory: int
    """Bytes of resident memory at the highest point, summed over the processes that ran the
    stage; 0 when it was not made here."""


class Maker:
    """Makes the missing artifacts of a plan, each once among all processes of a store."""

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        log: Path | None = None,
        signals: Signals | None = None,
    ) -> None:
        """Publish into `store`; what stages say goes to `log` as well."""
        self._signals = signals or Signals()
        self._store = store
        self._runtime = runtime
        self._log = log

    def make(self, node: PlannedArtifact) -> MadeArtifact:
        """Make a node's artifact, or wait for whoever is making it.

        Raises StageError when the stage fails, which is recorded in the store, and Interrupted.
        """
        started = time.monotonic()

        def tell(owner: str) -> None:
            Progress.write(f"  {node.label}: waiting for {owner}, who is making it")

        try:
            made = self._store.make_once(
                node.key, tell, lambda lease, found: self._make(node, lease, found)
            )
        except BaseException as error:  # a component may even leave by SystemExit
            if isinstance(error, KeyboardInterrupt) or self._signals.came:
                raise self._interruption(node, time.monotonic() - started) from error
            raise self._failure(node, error) from error
        if made is not None:
            node.manifest = made.manifest
            return made
        node.manifest = self._store.find(node.key).manifest
        assert node.manifest is not None
        return MadeArtifact(node.manifest, False, time.monotonic() - started, 0)

    def write_out(self, node: PlannedArtifact) -> Path:
        """Return a directory that holds all of a node's artifact; raises StageError."""
        try:
            return self._open(node).materialise().directory
        except (StormError, OSError) as error:
            raise StageError(f"{node.label}: {error}") from error

    def _make(self, node: PlannedArtifact, lease: Lease, found: Found) -> MadeArtifact:
        store = self._store
        if found.damage:
            self._clear(node, found.damage)
        partial = store.open_partial(node.key)
        stage = StageContext(node.label, partial, store.scratch(node.key), self._runtime, self._log)
        stage.superseded = lambda: lease.taken
        _reset_peak_memory()
        started = time.monotonic()
        try:
            before = look(node, store)
            if store.begin(node.key, before):
                stage.say("files outside were written since it was begun, so it begins anew")
            memory = self._run(node, stage)
            artifact = node.component.output(stage.adopted or partial)
            facts = artifact.spec().to_json()
            seconds = time.monotonic() - started
            manifest = self._manifest(node, stage, facts, seconds, memory)
            published = store.publish(
                partial,
                manifest,
                stage.adopted_files,
                stage.linked,
                lambda: compare(before, look(node, store)),
            )
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, ChangedError):  # what was begun may come from other contents
                shutil.rmtree(store.scratch(node.key), ignore_errors=True)
            raise
        return MadeArtifact(published, published is manifest, seconds, sum(memory))

    def _clear(self, node: PlannedArtifact, damage: str) -> None:
        node.damage = ""
        aside = self._store.set_aside(node.key)
        Progress.write(
            f"  {node.label}: what the store held of this {node.component.output.__name__} cannot "
            f"be used ({damage}); it was moved to {aside} and is made again"
        )

    def _run(self, node: PlannedArtifact, stage: StageContext) -> list[int]:
        """Run the component here or in workers; return the peak memory of each process."""
        if wants_workers(node.settings, self._runtime):
            needed = {n.key: n for nodes in node.inputs.values() for n in nodes}
            return run_in_workers(node, {k: self._payload(n) for k, n in needed.items()}, stage)
        inputs = {
            port: [self._open(n) for n in nodes]
            if node.component.ports[port].many
            else self._open(nodes[0])
            for port, nodes in node.inputs.items()
        }
        check_output(node.component, node.settings.run(stage, **inputs), stage)
        return [peak_memory()]

    def _open(self, node: PlannedArtifact) -> Artifact:
        return node.component.output(self._payload(node), node.key)

    def _payload(self, node: PlannedArtifact) -> Path:
        assert node.manifest is not None, f"{node.label} was not made before what needs it"
        return node.manifest.payload(self._store.place(node.key))

    def _manifest(
        self,
        node: PlannedArtifact,
        stage: StageContext,
        facts: dict[str, Any],
        seconds: float,
        memory: list[int],
    ) -> Manifest:
        return Manifest(
            key=node.key,
            component=node.component.name,
            version=node.component.version,
            artifact=node.component.output.__name__,
            settings=semantic_settings(node.settings),
            inputs=node.input_keys(),
            fingerprint=node.fingerprint,
            spec=facts,
            metrics=stage.metrics,
            main_metric=stage.main_metric,
            shown_metrics=stage.shown_metrics,
            measured_on=stage.measured_on,
            files={},
            adopted=str(stage.adopted) if stage.adopted is not None else None,
            references=stage.references,
            made={
                "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "seconds": round(seconds, 3),
                "peak_memory": sum(memory),
                "workers": len(memory),
                "host": socket.gethostname(),
                "machine": platform.machine(),
                "python": platform.python_version(),
                "source": source_digest(node.component.cls),
            },
        )

    def _interruption(self, node: PlannedArtifact, seconds: float) -> Interrupted:
        """Return the error to raise for a stage that a signal ended."""
        begun = self._store.scratch(node.key)
        unfinished = begun.is_dir() and any(not f.name.startswith(".") for f in begun.iterdir())
        next_time = "goes on from what it had kept" if unfinished else "begins anew"
        text = f"{node.label}: interrupted after {seconds:.1f} s; the next run {next_time}"
        return Interrupted(text)

    def _failure(self, node: PlannedArtifact, error: BaseException) -> StageError:
        """Record a failure in the store and return the error to raise."""
        file = None
        try:
            file = self._store.note_failure(
                node.key,
                {
                    "stage": node.label,
                    "component": node.component.name,
                    "settings": semantic_settings(node.settings),
                    "error": f"{type(error).__name__}: {error}",
                    "traceback": traceback.format_exc(),
                },
            )
        except OSError:
            Progress.write(f"  {node.label}: the failure could not be recorded in the store")
        details = f"; details in {file}" if file else ""
        if isinstance(error, StormError):
            return StageError(f"{node.label}: {error}")
        if isinstance(error, OSError) and error.filename is None:
            details = f" (what stages write is in {self._store.root}){details}"
        return StageError(f"{node.label} failed with {type(error).__name__}: {error}{details}")


def check_output(component: Component, artifact: Any, stage: StageContext) -> None:
    """Raise TypeError for what a component's `run` has returned, unless it is what it promises."""
    if not isinstance(artifact, component.output):
        raise TypeError(f"run returned {artifact!r}, not {component.output.__name__}")
    place = stage.adopted or stage.directory
    if artifact.directory.resolve() != place.resolve():
        raise TypeError(f"run returned {artifact!r}, which does not lie in {place}")


def peak_memory() -> int:
    """Return the highest resident memory since the last reset, in bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _reset_peak_memory() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        return
