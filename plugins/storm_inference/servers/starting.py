"""The start of an engine's server, which is watched and ended with the run or the verb."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from storm_exp import InputError
from storm_inference.programs.program import Program, last_lines
from storm_inference.servers.port import HOST, check_port, claim_port, free_port
from storm_inference.servers.server import Refused, Server, Unavailable

_EVERYWHERE = ("0.0.0.0", "::")
"""Addresses that stand for all of a machine's."""
VLLM_KEY = "VLLM_API_KEY"
ANSWER_SECONDS = 1800.0
"""Timeout of a request."""
_POLL_SECONDS = 0.5
_TAIL = 25
"""Lines of the server's log that an error shows."""
_SEARCHED = 1000
"""Lines of the server's log that are searched for a lack of memory."""


class ServerLaunch(Protocol):
    """What the server of any engine is started with."""

    @property
    def engine(self) -> str:
        """The engine's name in messages."""
        ...

    @property
    def log(self) -> Path:
        """File for the server's output."""
        ...

    @property
    def host(self) -> str:
        """The address to listen at."""
        ...

    @property
    def port(self) -> int:
        """The port to listen at; 0: a free one."""
        ...

    @property
    def name(self) -> str:
        """Name of the model in requests."""
        ...

    def words(self, port: int) -> list[str]:
        """Return the command line."""
        ...

    def environment(self) -> dict[str, str]:
        """Return the environment variables."""
        ...


@dataclasses.dataclass(frozen=True)
class Remedies:
    """What to change where a server does not start, in the words of whoever starts it."""

    port: str
    """The setting of the port."""
    memory: str
    """Advice if memory may be missing."""
    seconds: str = ""
    """The setting for how long it may take; empty if there is none."""


OF_STAGES = Remedies(
    port="inference.port",
    memory="lower inference.memory, inference.requests or the stage's max_length",
    seconds="inference.start_seconds",
)
OF_VERBS = Remedies(
    port="--port", memory="give a smaller --max-length, or end other programs that use it"
)


class Starting:
    """A server that is starting."""

    def __init__(self, launch: ServerLaunch, remedies: Remedies = OF_STAGES) -> None:
        """Start the server's program; raises InputError if its port is taken."""
        self._launch, self._remedies = launch, remedies
        port = launch.port or free_port()
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            lock = None
            if launch.port:
                check_port(port, launch.host, remedies.port)
                lock = opened.enter_context(claim_port(port, remedies.port)).fileno()
            output = opened.enter_context(launch.log.open("ab"))
            program = Program(
                launch.words(port), output, environment=launch.environment(), lock=lock
            )
        asked = HOST if launch.host in _EVERYWHERE else launch.host
        place = f"[{asked}]" if ":" in asked else asked
        key = launch.environment().get(VLLM_KEY, "")  # vLLM demands it if it is set
        self.server = Server(f"http://{place}:{port}", ANSWER_SECONDS, program, key=key)
        self.server.model = launch.name

    def wait(self, seconds: float, check: Callable[[], None] = lambda: None) -> Server:
        """Return the server once it is available; raises InputError with the end of its log.

        `check` is called meanwhile and may raise. Any error ends the program. A server that
        answers at the address without having the model's name is another one.
        """
        until, engine = time.monotonic() + seconds, self._launch.engine
        try:
            while self.server.problem():
                check()
                if ended := self.server.ended():
                    raise InputError(f"{engine} did not start: {ended}{self.explanation()}")
                if time.monotonic() > until:
                    setting = f" ({self._remedies.seconds})" if self._remedies.seconds else ""
                    limit = f"within {seconds:g} s{setting}"
                    raise InputError(f"{engine} did not start {limit}{self.explanation()}")
                time.sleep(_POLL_SECONDS)
            self._check_own()
        except BaseException:
            self.server.close()
            raise
        return self.server

    def _check_own(self) -> None:
        names, launch = [], self._launch
        with contextlib.suppress(Unavailable, Refused):
            names = [str(model["id"]) for model in self.server.models()]
        if launch.name not in names:
            raise InputError(
                f"{launch.engine} did not start: another server answers at {self.server.url}, with "
                f"{', '.join(names) or 'no model'}; use another port{self.explanation()}"
            )

    def explanation(self) -> str:
        """Return the end of the log, with advice if memory may be missing."""
        with self._launch.log.open("rb") as output:
            lines = last_lines(output, _TAIL)
            said = last_lines(output, _SEARCHED)
        hint = ""
        # The cause stands above the tracebacks of the processes that it ended.
        if re.search(r"error.*memory", said, re.IGNORECASE):
            hint = f"; if memory is short, {self._remedies.memory}"
        return f"{hint} (log: {self._launch.log}):\n{lines}"
