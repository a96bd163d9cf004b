"""The executor: runs the stage of a planned artifact, in this process or in workers."""

from __future__ import annotations

import platform
import socket
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from storm_exp._contract.artifact import Artifact
from storm_exp._contract.component import Component
from storm_exp._contract.errors import GOES_ON, Interrupted, StageError, StormError
from storm_exp._contract.plugins import load_plugins
from storm_exp._contract.progress import Progress
from storm_exp._contract.runtime import Runtime
from storm_exp._contract.setting_values import semantic_settings
from storm_exp._contract.stage_context import RECORDED, StageContext
from storm_exp._plan.difference import source_digest
from storm_exp._plan.files_read import marks_of_files
from storm_exp._plan.planned_artifact import PlannedArtifact
from storm_exp._run.signals import Signals
from storm_exp._run.worker_launcher import needs_workers, run_in_workers
from storm_exp._store.artifact_maker import MadeArtifact, Maker
from storm_exp._store.manifest import Manifest
from storm_exp._store.store import Store


class Executor:
    """Makes the missing artifacts of a plan."""

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        log: Path | None = None,
        signals: Signals | None = None,
    ) -> None:
        """Publish into `store`; messages of stages are also appended to `log`."""
        self._signals = signals or Signals()
        self._store = store
        self._runtime = runtime
        self._maker = Maker(store, runtime, log)

    def make(self, node: PlannedArtifact) -> MadeArtifact:
        """Make a node's artifact, or wait for a process that is making it.

        Raises StageError if the stage fails, which is also recorded in the store, and Interrupted.
        """
        started = time.monotonic()
        kind = node.component.output.__name__
        try:
            made = self._maker.make(
                node.key,
                node.title,
                kind,
                lambda: marks_of_files(node, self._store),
                lambda stage: self._fill(node, stage),
            )
        except BaseException as error:  # a component may even raise SystemExit
            if isinstance(error, KeyboardInterrupt) or self._signals.came:
                raise self._interruption(node, time.monotonic() - started) from error
            raise self._failure(node, error) from error
        node.manifest, node.damage = made.manifest, ""
        return made

    def write_out(self, node: PlannedArtifact) -> Path:
        """Return a directory with all files of a node's artifact; raises StageError."""
        try:
            stage = self._maker.stage(node.title, node.key, self._payload(node))
            return self._open(node).materialise(stage).directory
        except (StormError, OSError) as error:
            raise StageError(f"{node.title}: {error}") from error

    def _fill(self, node: PlannedArtifact, stage: StageContext) -> Manifest:
        """Run a node's component; return the manifest to publish."""
        memory = self._run(node, stage)
        spec = node.component.output(stage.payload).spec()
        for line in node.spec.contradictions(spec):
            stage.warn(f"{line}, which is a fault of the component '{node.component.name}'")
        return Manifest(
            key=node.key,
            component=node.component.name,
            version=node.component.version,
            artifact=node.component.output.__name__,
            settings=semantic_settings(node.settings),
            inputs=node.input_keys(),
            fingerprint=node.fingerprint,
            spec=spec.to_json(),
            files={},
            **{name: getattr(stage, name) for name in RECORDED},
            made={
                "peak_memory": sum(memory),
                "workers": len(memory),
                "warnings": stage.warnings,
                "host": socket.gethostname(),
                "machine": platform.machine(),
                "python": platform.python_version(),
                "source": source_digest(node.component.cls),
            },
        )

    def _run(self, node: PlannedArtifact, stage: StageContext) -> list[int]:
        """Run the component here or in workers; return the peak memory of each process in bytes."""
        if needs_workers(node.settings, self._runtime):
            needed = {n.key: n for nodes in node.inputs.values() for n in nodes}
            payloads = {key: self._payload(n) for key, n in needed.items()}
            return run_in_workers(node, payloads, stage, self._store.root)
        inputs = node.by_port(self._open)
        with memory_meter() as peak:
            check_output(node.component, node.settings.run(stage, **inputs), stage)
            return [peak()]

    def _open(self, node: PlannedArtifact) -> Artifact:
        return node.component.output(self._payload(node), node.key)

    def _payload(self, node: PlannedArtifact) -> Path:
        assert node.manifest is not None, f"{node.title} was not made before what needs it"
        return node.manifest.payload(self._store.place(node.key))

    def _interruption(self, node: PlannedArtifact, seconds: float) -> Interrupted:
        """Return the error to raise for a stage that was ended by a signal."""
        scratch = self._store.scratch(node.key)
        unfinished = any(not f.name.startswith(".") for f in scratch.glob("*"))
        next_time = GOES_ON if unfinished else "starts from the beginning"
        text = f"{node.title}: interrupted after {seconds:.1f} s; the next run {next_time}"
        return Interrupted(text)

    def _failure(self, node: PlannedArtifact, error: BaseException) -> StageError:
        """Record a failure in the store; return the error to raise."""
        file = None
        try:
            file = self._store.note_failure(
                node.key,
                {
                    "stage": node.title,
                    "component": node.component.name,
                    "settings": semantic_settings(node.settings),
                    "error": f"{type(error).__name__}: {error}",
                    "traceback": traceback.format_exc(),
                },
            )
        except OSError:
            Progress.write(f"  {node.title}: the failure could not be recorded in the store")
        details = f"; details in {file}" if file else ""
        if isinstance(error, StormError):
            return StageError(node.locate(error))
        if isinstance(error, OSError) and error.filename is None:
            details = f" (what stages write is in {self._store.root}){details}"
        return StageError(f"{node.title} failed with {type(error).__name__}: {error}{details}")


def check_output(component: Component, artifact: Any, stage: StageContext) -> None:
    """Raise TypeError unless `run` returned an artifact of its type in the stage's directory."""
    if not isinstance(artifact, component.output):
        raise TypeError(f"run returned {artifact!r}, not {component.output.__name__}")
    if artifact.directory.resolve() != stage.payload.resolve():
        raise TypeError(f"run returned {artifact!r}, which is not in {stage.payload}")


def memory_meter() -> AbstractContextManager[Callable[[], int]]:
    """Return what measures a stage's memory; without a plugin that does, it is 0 bytes."""
    meter: AbstractContextManager[Callable[[], int]] | None
    meter = load_plugins().hook.storm_memory_meter()
    return meter or nullcontext(lambda: 0)
