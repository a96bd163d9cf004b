"""The task of a cell that a launcher runs by itself, and the signals that end a job of submitit.

Annotations are not postponed here: Hydra executes this module before it is in `sys.modules`, and
dataclasses look postponed annotations up there.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from hydra.types import TaskFunction
from omegaconf import DictConfig

from storm_exp._contract.errors import Interrupted, StageError


@dataclass(frozen=True)
class CellTask:
    """Function that runs a cell; it can be pickled, for other processes and machines."""

    task: TaskFunction

    def __call__(self, config: DictConfig) -> Any:
        """Run the cell; raises StageError where a signal ended it, as launchers pass errors on."""
        with _submitit_signals() as requeue:
            try:
                return self.task(config)
            except Interrupted as interruption:
                requeue()
                raise StageError(f"the job was ended by a signal: {interruption}") from interruption


@contextmanager
def _submitit_signals() -> Iterator[Callable[[], None]]:
    """Let the signals of a job of submitit end the run as SIGTERM does, its progress saved.

    submitit ignores SIGTERM (`scancel`), and raises an error in the middle of a stage when the time
    of the job is nearly over. Yields a function that calls submitit's handler of that signal, if it
    came: it submits the job again, or raises submitit's error.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    timely = {number: handler for number, handler in before.items() if _is_submitit(handler)}
    came: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        came.append(number)
        signal.raise_signal(signal.SIGTERM)

    def requeue() -> None:
        for number in came[:1]:
            timely[number](number, None)

    bypass = signal.getsignal(signal.SIGTERM)
    with suppress(ValueError):  # of a thread that is not the main one
        for number in timely:
            signal.signal(number, end)
        if _is_submitit(bypass):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield requeue
    finally:
        with suppress(ValueError):
            for number, handler in timely.items():
                signal.signal(number, handler)
            if _is_submitit(bypass):
                signal.signal(signal.SIGTERM, bypass)


def _is_submitit(handler: Any) -> bool:
    return str(getattr(handler, "__module__", "")).startswith("submitit.")
