"""Context in which a component runs."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from storm_exp._contract.artifact import Artifact, MemoFill, MemoInputs
from storm_exp._contract.errors import StageError
from storm_exp._contract.plugins import load_plugins
from storm_exp._contract.progress import Progress
from storm_exp._contract.runtime import Runtime

MEASURED = ("metrics", "main_metric", "shown_metrics", "measured_on")
"""Fields about numbers that a stage reports, in its context, its manifest and its record."""
LOG_TIME = "%Y-%m-%d %H:%M:%S"
"""Form of the times in the log of a run."""
RECORDED = (*MEASURED, "references", "memos", "adopted")
"""Fields that a manifest takes from a stage's context."""


class StageContext:
    """Where a stage writes its artifact, and how it reports meanwhile."""

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
        """Write into `directory`; `scratch` is kept if the stage fails, for the next attempt.

        Of `world` workers that run the stage together, only the one with `rank` 0 reports.
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
        self.warnings: list[str] = []
        self.adopted: str | None = None
        self.adopted_files: list[str] = []
        self.linked: list[str] = []
        self.references: list[str] = []
        self.memos: list[str] = []
        self.log = log
        self.keep_memo: Callable[..., tuple[str, Path]] | None = None
        """Function that keeps memos in the stage's store; None where there is no store."""
        self.superseded: Callable[[], bool] = lambda: False
        """Whether another process has taken over this artifact."""

    def check(self) -> None:
        """Raise StageError if another process has taken over, which makes further work useless."""
        if self.superseded():
            raise StageError(f"{self.name}: another process has taken over")

    def compute(self) -> AbstractContextManager[str]:
        """Configure arithmetic (threads, precision) as the runtime says; yields the device's name.

        A plugin does it, by the hook `storm_compute`.
        """
        context: AbstractContextManager[str] | None
        context = load_plugins().hook.storm_compute(runtime=self.runtime)
        return context if context is not None else nullcontext(self.runtime.device)

    def progress(self, total: int, unit: str, label: str = "") -> Progress:
        """Return a progress bar; use it as a context manager and call `advance`."""
        text = f"{self.name}: {label}" if label else self.name
        return Progress(text, total, unit, quiet=self.rank > 0, check=self.check)

    def metric(
        self, name: str, value: float, *, main: bool = False, shown: bool = False, on: str = ""
    ) -> None:
        """Record a number in the manifest.

        The main one appears in the closing table; in sweeps, so do those that are `shown`. `on` is
        a digest of the data that was measured on, such as held-out rows: tables mark numbers that
        were measured on different data. The standard error of a number over its data is recorded
        as another number named `NAME_stderr`, which tables show for a single run.
        """
        self.metrics[name] = float(value)
        if main:
            self.main_metric = name
        if shown and name not in self.shown_metrics:
            self.shown_metrics.append(name)
        if on:
            self.measured_on[name] = on

    def say(self, message: str) -> None:
        """Write a line to the screen and to the run's log."""
        if self.rank > 0:
            return
        Progress.write(f"  {self.name}: {message}")
        if self.log is not None:
            text = f"{time.strftime(LOG_TIME)} {self.name}: {message}\n"
            line = text.encode(errors="backslashreplace")
            # A full disk under the log is no reason for a stage to fail.
            with suppress(OSError), self.log.open("ab") as stream:
                stream.write(line)

    def warn(self, message: str) -> None:
        """Say what makes the artifact doubtful although it is finished.

        It is kept with the artifact: every run that uses it ends with the warning, and so begins
        its report.
        """
        self.say(message)
        self.warnings.append(message)

    def adopt(self, directory: Path, files: Iterable[str]) -> Path:
        """Use finished files in another directory instead of filling this stage's own.

        The manifest refers to them by path, size and digest. Returns the directory in which to
        open the artifact.
        """
        self.adopted = str(Path(directory).absolute())
        self.adopted_files = sorted(files)
        return self.payload

    @property
    def payload(self) -> Path:
        """Where the files of the artifact are."""
        return Path(self.adopted or self.directory)

    def link(self, file: Path) -> None:
        """Add a finished file to `directory` as a symbolic link.

        The manifest refers to it by size, modification time and digest.
        """
        (self.directory / file.name).symlink_to(Path(file).absolute())
        self.linked.append(file.name)

    def reference(self, artifact: Artifact) -> None:
        """Record that the payload depends on another artifact of the store."""
        self.references.append(artifact.key)

    def keeps(self, *artifacts: Artifact) -> bool:
        """Return whether memos of these artifacts are kept: all must be in the stage's store."""
        return self.keep_memo is not None and all(artifact.key for artifact in artifacts)

    def memo(self, name: str, version: int, inputs: MemoInputs, fill: MemoFill) -> Path:
        """Return a folder whose contents depend on artifacts alone, filled by the first caller.

        A memo is a by-product that other stages can use, such as the angles between two models.
        It is kept under the package of `fill`, `name`, `version` (raise it when `fill` gives a
        different result) and the keys of `inputs`. A setting that `fill` reads has to be part of
        `name`. One process fills it while others wait. Where memos are not kept (see `keeps`), it
        is filled in the stage's scratch folder. Large files whose digests `fill` returns are not
        read again. Raises what `fill` raises.
        """
        given = {port: [a] if isinstance(a, Artifact) else list(a) for port, a in inputs.items()}
        artifacts = [artifact for each in given.values() for artifact in each]
        if self.keep_memo is None or not self.keeps(*artifacts):
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))
            fill(folder)
            return folder
        keys = {port: [artifact.key for artifact in each] for port, each in given.items()}
        key, folder = self.keep_memo(name, version, keys, fill)
        self.memos.append(key)
        return folder

    def reported(self) -> dict[str, Any]:
        """Return everything reported so far, as JSON values."""
        others = ("adopted_files", "linked", "warnings")
        return {name: getattr(self, name) for name in (*RECORDED, *others)}

    def take_over(self, reported: dict[str, Any]) -> None:
        """Adopt what the stage in another process has `reported`."""
        vars(self).update(reported)

    def worker_environment(self) -> dict[str, Any]:
        """Return environment variables for a program that the stage starts."""
        threads = str(self.runtime.thread_count())
        return {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": os.pathsep.join(sys.path)}
