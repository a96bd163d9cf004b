"""vLLM's server for a checkpoint on one device: it is started, watched and ended with the run.

`Starting` starts the servers of other engines too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from storm_exp import InputError
from storm_inference.programs.program import Program, last_lines
from storm_inference.servers.port import HOST, check_port, claim_port, free_port
from storm_inference.servers.server import Refused, Server, Unavailable

_EVERYWHERE = ("0.0.0.0", "::")
"""Addresses that stand for all of a machine's."""
ANSWER_SECONDS = 1800.0
"""Timeout of a request."""
_POLL_SECONDS = 0.5
_TAIL = 25
"""Lines of the server's log that an error shows."""
_OWN = (
    "PYTHONPATH",
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
)
"""Environment variables that servers must not inherit: vLLM would join torchrun's process group."""
_SEARCHED = 1000
"""Lines of the server's log that are searched for a lack of memory."""
_QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
_CPU_BLOCK = 32
"""Tokens of a block of the prefix cache, the least that vLLM's kernels for CPUs advise (not 128):
only whole blocks of a prefix that two questions share are computed once."""
_LABELS = 64
"""Maximum number of labels in a request."""


def unique_name() -> str:
    """Return a model's name that no other server has."""
    return f"model-{secrets.token_hex(4)}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launch:
    """A server's checkpoint and options."""

    engine: str = "vLLM"
    python: Path
    """The interpreter of vLLM's environment."""
    model: Path
    """A folder in Hugging Face layout."""
    log: Path
    dtype: str
    quantisation: str = ""
    max_length: int | None = None
    """Maximum length of a prompt with its answer, in tokens; None: that of the model's config."""
    requests: int = 32
    memory: float = 0.9
    """Share of a GPU's memory."""
    gpu: int | None = None
    """Index of the GPU; None: the CPU."""
    threads: int = 1
    port: int = 0
    """0: a free port."""
    host: str = HOST
    name: str = dataclasses.field(default_factory=unique_name)
    """Name of the model in requests."""
    own_generation: bool = False
    """Whether generation_config.json provides the defaults of requests."""
    template_arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Variables of the chat template."""

    def words(self, port: int) -> list[str]:
        """Return the command line."""
        words = [str(self.python), "-m", "vllm.entrypoints.openai.api_server"]
        words += ["--model", str(self.model), "--served-model-name", self.name]
        words += ["--host", self.host, "--port", str(port), "--dtype", self.dtype]
        words += ["--enable-prefix-caching", "--max-logprobs", str(_LABELS)]
        # Stages set all sampling parameters: the model's generation_config.json must not apply.
        words += ["--generation-config", "auto" if self.own_generation else "vllm"]
        words += ["--max-num-seqs", str(max(self.requests, 2))]
        if self.template_arguments:
            words += ["--default-chat-template-kwargs", json.dumps(self.template_arguments)]
        if self.quantisation:
            words += ["--quantization", self.quantisation]
        if self.max_length is not None:
            words += ["--max-model-len", str(self.max_length)]
        if self.gpu is None:
            return [*words, "--enforce-eager", "--block-size", str(_CPU_BLOCK)]
        return [*words, "--gpu-memory-utilization", str(self.memory)]

    def environment(self) -> dict[str, str]:
        """Return the environment variables, without this Python's path and a worker's place."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in _OWN and not name.startswith("TORCHELASTIC_")
        }
        if self.gpu is not None:
            return {**kept, **_QUIET, "CUDA_VISIBLE_DEVICES": str(self.gpu)}
        threads = {"OMP_NUM_THREADS": str(self.threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        return {"VLLM_CPU_KVCACHE_SPACE": "1", **kept, **_QUIET, **threads}


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


class Starting:
    """A server that is starting."""

    def __init__(self, launch: ServerLaunch, setting: str = "inference.port") -> None:
        """Start the server's program; raises InputError, naming `setting`, if its port is taken."""
        self._launch = launch
        port = launch.port or free_port()
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            lock = None
            if launch.port:
                check_port(port, launch.host, setting)
                lock = opened.enter_context(claim_port(port, setting)).fileno()
            output = opened.enter_context(launch.log.open("ab"))
            program = Program(
                launch.words(port), output, environment=launch.environment(), lock=lock
            )
        asked = HOST if launch.host in _EVERYWHERE else launch.host
        place = f"[{asked}]" if ":" in asked else asked
        self.server = Server(f"http://{place}:{port}", ANSWER_SECONDS, program)
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
                    limit = f"within {seconds:g} s (inference.start_seconds)"
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
            hint = "; if memory is short, lower inference.memory, inference.requests or the stage's"
            hint += " max_length"
        return f"{hint} (log: {self._launch.log}):\n{lines}"
