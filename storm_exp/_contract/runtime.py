"""Where stages run: the section `runtime` of a configuration."""

from __future__ import annotations

import dataclasses
import os

from storm_exp._contract.bounds import check_bounds
from storm_exp._contract.component import setting


@dataclasses.dataclass(frozen=True)
class Runtime:
    """Where stages run. Recorded, never part of a key."""

    device: str = "auto"
    """What a stage computes on, by a name that a plugin knows; auto takes the best there is."""
    threads: int = setting(0, at_least=0)
    """Threads for arithmetic; 0 takes OMP_NUM_THREADS, or every core that this process may use."""
    devices: int = setting(1, at_least=1)
    """Devices of a node that a stage uses which can use several: one worker process each."""
    nodes: int = setting(1, at_least=1)
    """Nodes that such a stage uses. They share the store's file system."""
    strategy: str = "auto"
    """How such a stage is divided, by a name that the plugin knows which divides it."""
    accelerator: str = ""
    """The device that `plan` estimates for, by a name that a plugin knows, and refuses what does
    not fit on. Empty: a usual one, and nothing is refused."""
    utilisation: float = setting(0.4, above=0, at_most=1)
    """Share of the accelerator's operations a second that `plan` counts on."""
    launcher: str = "auto"
    """What starts workers on several nodes, by a name that a plugin knows."""

    def __post_init__(self) -> None:
        """Check what can be known here; plugins check the names that they know."""
        check_bounds(self)

    def thread_count(self) -> int:
        """Return the number of threads to use, at least one."""
        cores = len(os.sched_getaffinity(0))
        return self.threads or int(os.environ.get("OMP_NUM_THREADS") or cores)

    def limit_threads(self) -> None:
        """Tell arithmetic libraries that are not imported yet how many threads to take."""
        os.environ["OMP_NUM_THREADS"] = str(self.thread_count())
