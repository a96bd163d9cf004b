"""What a component is given while it runs."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from storm_exp._contract.artifact import Artifact
from storm_exp._contract.errors import StageError
from storm_exp._contract.plugins import load_plugins
from storm_exp._contract.progress import Progress
from storm_exp._contract.runtime import Runtime

MEASURED = ("metrics", "main_metric", "shown_metrics", "measured_on")
"""What is kept of the numbers that a stage reports: in its context, in manifests and records."""
RECORDED = (*MEASURED, "references", "memos", "adopted")
"""What a manifest takes over from a stage's context."""


class StageContext:
    """One making of one artifact: where to put it, and how to speak meanwhile."""

    def __init__(
        self,
        name: str,
        directory: Path,
        scratch: Path,
        runtime: Runtime | None = None,
        log: Path | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """`directory` is to be filled; `scratch` survives a crash of the same key.

        Of `world` workers that run the stage together, the one with `rank` 0 speaks for all.
        """
        self.name = name
        self.directory = directory
        self.scratch = scratch
        self.runtime = runtime or Runtime()
        self.rank, self.world = rank, world
        self.metrics: dict[str, float] = {}
        self.main_metric = ""
        self.shown_metrics: list[str] = []
        self.measured_on: dict[str, str] = {}
        self.adopted: str | None = None
        self.adopted_files: list[str] = []
        self.linked: list[str] = []
        self.references: list[str] = []
        self.memos: list[str] = []
        self.log = log
        self.keep_memo: Callable[..., tuple[str, Path]] | None = None
        """Keeps memos in the store in which the stage works; None outside any."""
        self.superseded: Callable[[], bool] = lambda: False
        """Whether another process has taken over the making of this artifact."""

    def check(self) -> None:
        """Raise StageError where another process has taken over: what is made here is in vain."""
        if self.superseded():
            raise StageError(f"{self.name}: another process has taken over")

    def compute(self) -> AbstractContextManager[str]:
        """Have arithmetic set up as the runtime says; yields the name of the device to compute on.

        A plugin does it (hook `storm_compute`): threads, precision, device.
        """
        found = load_plugins().hook.storm_compute(runtime=self.runtime)
        plain: AbstractContextManager[str] = nullcontext(self.runtime.device)
        return found if found is not None else plain

    def progress(self, total: int, unit: str, label: str = "") -> Progress:
        """Return a bar with time left; use it as a context manager and call `advance`."""
        text = f"{self.name}: {label}" if label else self.name
        return Progress(text, total, unit, quiet=self.rank > 0, check=self.check)

    def metric(
        self, name: str, value: float, *, main: bool = False, shown: bool = False, on: str = ""
    ) -> None:
        """Record a number in the manifest.

        The main one appears in the closing table, those that are `shown` beside it in sweeps. `on`
        is a digest of what was measured on, such as held-out rows: numbers that were measured on
        different things are not put side by side without saying so. The error of a number over
        what it was measured on is another one, by the name of `NAME_stderr`: tables show it where
        there is a single run.
        """
        self.metrics[name] = float(value)
        if main:
            self.main_metric = name
        if shown and name not in self.shown_metrics:
            self.shown_metrics.append(name)
        if on:
            self.measured_on[name] = on

    def say(self, message: str) -> None:
        """Write one line for the user, and into the run's log."""
        if self.rank > 0:
            return
        Progress.write(f"  {self.name}: {message}")
        if self.log is not None:
            line = f"{self.name}: {message}\n".encode(errors="backslashreplace")
            # A full disk under the log is no reason for a stage to fail.
            with suppress(OSError), self.log.open("ab") as stream:
                stream.write(line)

    def adopt(self, directory: Path, files: Iterable[str]) -> Path:
        """Take finished files where they lie instead of filling `directory`.

        The manifest then refers to them by path, size and digest. Returns the directory, to
        open the artifact with.
        """
        self.adopted = str(Path(directory).absolute())
        self.adopted_files = sorted(files)
        return self.payload

    @property
    def payload(self) -> Path:
        """Where the files of the artifact are."""
        return Path(self.adopted or self.directory)

    def link(self, file: Path) -> None:
        """Put a finished file into `directory` by a link to where it lies.

        The manifest then refers to it by size, time and digest.
        """
        (self.directory / file.name).symlink_to(Path(file).absolute())
        self.linked.append(file.name)

    def reference(self, artifact: Artifact) -> None:
        """Note that the payload cannot do without another artifact of the store."""
        self.references.append(artifact.key)

    def keeps(self, *artifacts: Artifact) -> bool:
        """Return whether memos of these artifacts are kept: a store holds them and the stage."""
        return self.keep_memo is not None and all(artifact.key for artifact in artifacts)

    def memo(
        self,
        name: str,
        version: int,
        inputs: Mapping[str, Artifact | Sequence[Artifact]],
        fill: Callable[[Path], None],
    ) -> Path:
        """Return a folder that follows from artifacts alone, filled by the first stage that asks.

        It is a by-product that other stages of the store can use, such as the angles between two
        models: kept under `name`, `version` (raise it when `fill` gives another result) and the
        keys of `inputs`. Of all processes one fills it, and the others wait. Where none are kept
        (see `keeps`) it is filled for this stage, in its scratch folder. Raises what `fill` raises.
        """
        keys: dict[str, str | list[str]] = {
            port: given.key if isinstance(given, Artifact) else [each.key for each in given]
            for port, given in inputs.items()
        }
        artifacts = [
            each
            for given in inputs.values()
            for each in ([given] if isinstance(given, Artifact) else given)
        ]
        if self.keep_memo is None or not self.keeps(*artifacts):
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))
            fill(folder)
            return folder
        key, folder = self.keep_memo(name, version, keys, fill)
        self.memos.append(key)
        return folder

    def reported(self) -> dict[str, Any]:
        """Return what was reported so far, as JSON values."""
        return {name: getattr(self, name) for name in (*RECORDED, "adopted_files", "linked")}

    def take_over(self, reported: dict[str, Any]) -> None:
        """Report what another process's stage had `reported`."""
        vars(self).update(reported)

    def worker_environment(self) -> dict[str, Any]:
        """Return the environment for a program that a stage starts."""
        threads = str(self.runtime.thread_count())
        return {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": os.pathsep.join(sys.path)}
