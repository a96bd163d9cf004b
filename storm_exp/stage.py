"""What a component is given while it runs."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from storm_exp.artifact import Artifact
from storm_exp.errors import SettingError
from storm_exp.progress import Progress


@dataclasses.dataclass(frozen=True)
class Runtime:
    """Where stages run. Recorded, never part of a key."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 0
    """Threads for arithmetic; 0 takes OMP_NUM_THREADS, or every core that this process may use."""

    def __post_init__(self) -> None:
        """Check the device's name; whether it is there is known when a stage needs it."""
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise SettingError("device", self.device, "must be auto, cpu, cuda or cuda:N")

    def thread_count(self) -> int:
        """Return the number of threads to use, at least one."""
        cores = len(os.sched_getaffinity(0))
        return self.threads or int(os.environ.get("OMP_NUM_THREADS") or cores)

    def limit_threads(self) -> None:
        """Tell arithmetic libraries that are not imported yet how many threads to take."""
        os.environ["OMP_NUM_THREADS"] = str(self.thread_count())


class Stage:
    """One making of one artifact: where to put it, and how to speak meanwhile."""

    def __init__(
        self,
        name: str,
        directory: Path,
        scratch: Path,
        runtime: Runtime | None = None,
        log: Path | None = None,
    ) -> None:
        """`directory` is to be filled; `scratch` survives a crash of the same key."""
        self.name = name
        self.directory = directory
        self.scratch = scratch
        self.runtime = runtime or Runtime()
        self.metrics: dict[str, float] = {}
        self.main_metric = ""
        self.adopted: Path | None = None
        self.adopted_files: list[str] = []
        self.references: list[str] = []
        self._log = log

    def progress(self, total: int, unit: str, label: str = "") -> Progress:
        """Return a bar with time left; use it as a context manager and call `advance`."""
        text = f"{self.name}: {label}" if label else self.name
        return Progress(text, total, unit)

    def metric(self, name: str, value: float, *, main: bool = False) -> None:
        """Record a number in the manifest; the main one appears in the closing table."""
        self.metrics[name] = float(value)
        if main:
            self.main_metric = name

    def say(self, message: str) -> None:
        """Write one line for the user, and into the run's log."""
        Progress.write(f"  {self.name}: {message}")
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as stream:
                stream.write(f"{self.name}: {message}\n")

    def adopt(self, directory: Path, files: Iterable[str]) -> Path:
        """Take finished files where they lie instead of filling `directory`.

        The manifest then refers to them by path, size and digest. Returns the directory, to
        open the artifact with.
        """
        self.adopted = Path(directory).absolute()
        self.adopted_files = sorted(files)
        return self.adopted

    def reference(self, artifact: Artifact) -> None:
        """Note that the payload cannot do without another artifact of the store."""
        self.references.append(artifact.key)

    def worker_environment(self) -> dict[str, Any]:
        """Return the environment for a program that a stage starts."""
        threads = str(self.runtime.thread_count())
        return {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": os.pathsep.join(sys.path)}
