"""Settings of where stages run: the section `runtime` of a configuration."""

from __future__ import annotations

import dataclasses
import os

from storm_exp._contract.bounds import check_bounds
from storm_exp._contract.component import setting


@dataclasses.dataclass(frozen=True)
class Runtime:
    """Where stages run. Recorded, but not part of any key."""

    device: str = "auto"
    """Device for computations, by a name that a plugin defines; auto takes the best there is."""
    threads: int = setting(0, at_least=0)
    """Threads for arithmetic; 0: OMP_NUM_THREADS, or every core that this process may use."""
    devices: int = setting(1, at_least=1)
    """Devices of each node for stages that can use several, with a worker process for each."""
    nodes: int = setting(1, at_least=1)
    """Nodes for such stages. They share the store's file system."""
    strategy: str = "auto"
    """How the work of such stages is divided, by a name that a plugin defines."""
    accelerator: str = ""
    """Accelerator for which `plan` estimates, by a name that a plugin defines; what does not fit
    on it is refused. Empty: a common one is assumed, and nothing is refused."""
    utilisation: float = setting(0.4, above=0, at_most=1)
    """Fraction of the accelerator's peak operations per second that `plan` assumes."""
    launcher: str = "auto"
    """Program that starts workers on several nodes, by a name that a plugin defines."""

    def __post_init__(self) -> None:
        """Check the bounds; plugins check names of devices, launchers and the like."""
        check_bounds(self)

    def thread_count(self) -> int:
        """Return the number of threads to use, at least one."""
        cores = len(os.sched_getaffinity(0))
        return self.threads or int(os.environ.get("OMP_NUM_THREADS") or cores)

    def limit_threads(self) -> None:
        """Set the number of threads for arithmetic libraries that are not imported yet."""
        os.environ["OMP_NUM_THREADS"] = str(self.thread_count())
