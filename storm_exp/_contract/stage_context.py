"""What a component is given while it runs."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from storm_exp._contract.accelerator import ACCELERATORS
from storm_exp._contract.artifact import Artifact
from storm_exp._contract.errors import SettingError, StageError, did_you_mean
from storm_exp._contract.progress import Progress

STRATEGIES = ("auto", "ddp", "fsdp")
LAUNCHERS = ("auto", "torchrun", "srun")


@dataclasses.dataclass(frozen=True)
class Runtime:
    """Where stages run. Recorded, never part of a key."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 0
    """Threads for arithmetic; 0 takes OMP_NUM_THREADS, or every core that this process may use."""
    devices: int = 1
    """Devices of a node that a stage uses which can use several: one worker process each."""
    nodes: int = 1
    """Nodes that such a stage uses. They share the store's file system."""
    strategy: str = "auto"
    """How training is divided: ddp (a whole model on each device), fsdp (a part on each), or auto:
    ddp on CPUs, fsdp on GPUs."""
    card: str = ""
    """The card that `plan` estimates for, and refuses what does not fit on: h100, h200, a100_80,
    a100_40, l40s, rtx4090 or cpu. Empty: h100 at full size or on CUDA, else this machine's CPU;
    refuses nothing."""
    utilisation: float = 0.4
    """Share of the card's operations a second that `plan` counts on."""
    launcher: str = "auto"
    """What starts workers on several nodes: srun, torchrun, or auto: srun in a Slurm allocation.
    Under torchrun the stage says the command that the other nodes have to run."""

    def __post_init__(self) -> None:
        """Check what can be known here; whether devices are there shows when a stage needs them."""
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise SettingError("device", self.device, "must be auto, cpu, cuda or cuda:N")
        for name, least in (("threads", 0), ("devices", 1), ("nodes", 1)):
            if getattr(self, name) < least:
                raise SettingError(name, getattr(self, name), f"must be at least {least}")
        if ":" in self.device and self.devices > 1:
            raise SettingError("device", self.device, f"is one device, but devices={self.devices}")
        if not 0 < self.utilisation <= 1:
            raise SettingError("utilisation", self.utilisation, "must be above 0, at most 1")
        if self.card and self.card not in ACCELERATORS:
            raise SettingError("card", self.card, f"unknown{did_you_mean(self.card, ACCELERATORS)}")
        for name, known in (("strategy", STRATEGIES), ("launcher", LAUNCHERS)):
            if getattr(self, name) not in known:
                value = getattr(self, name)
                raise SettingError(name, value, f"unknown{did_you_mean(value, known)}")

    def thread_count(self) -> int:
        """Return the number of threads to use, at least one."""
        cores = len(os.sched_getaffinity(0))
        return self.threads or int(os.environ.get("OMP_NUM_THREADS") or cores)

    def limit_threads(self) -> None:
        """Tell arithmetic libraries that are not imported yet how many threads to take."""
        os.environ["OMP_NUM_THREADS"] = str(self.thread_count())


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
        self.adopted: Path | None = None
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
        different things are not put side by side without saying so.
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
        self.adopted = Path(directory).absolute()
        self.adopted_files = sorted(files)
        return self.adopted

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
        return {
            "metrics": self.metrics,
            "main_metric": self.main_metric,
            "shown_metrics": self.shown_metrics,
            "measured_on": self.measured_on,
            "references": self.references,
            "memos": self.memos,
            "adopted": str(self.adopted) if self.adopted else None,
            "adopted_files": self.adopted_files,
            "linked": self.linked,
        }

    def take_over(self, reported: dict[str, Any]) -> None:
        """Report what another process's stage had `reported`."""
        self.metrics, self.main_metric = reported["metrics"], reported["main_metric"]
        self.shown_metrics, self.measured_on = reported["shown_metrics"], reported["measured_on"]
        self.references, self.linked = reported["references"], reported["linked"]
        self.memos = reported["memos"]
        if reported["adopted"]:
            self.adopt(Path(reported["adopted"]), reported["adopted_files"])

    def worker_environment(self) -> dict[str, Any]:
        """Return the environment for a program that a stage starts."""
        threads = str(self.runtime.thread_count())
        return {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": os.pathsep.join(sys.path)}
