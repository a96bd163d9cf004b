"""vLLM's server for one checkpoint on one device: started, watched, and ended with this process."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from storm_exp import InputError
from storm_inference.programs.program import Program, last_lines
from storm_inference.servers.server import Server

HOST = "127.0.0.1"
ANSWER_SECONDS = 1800.0
"""How long an answer may take."""
_POLL_SECONDS = 0.5
_TAIL = 25
"""Lines of its log that an error shows."""
_QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
_LABELS = 64
"""Labels that may be asked for at once, at most."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launch:
    """What a server is to serve, and how."""

    python: Path
    """The interpreter of vLLM's environment."""
    model: Path
    """A folder in Hugging Face layout."""
    log: Path
    dtype: str
    quantisation: str = ""
    max_length: int | None = None
    """Tokens of a prompt with its answer, at most; None: what the model's config allows."""
    requests: int = 32
    memory: float = 0.9
    """Share of a GPU's memory."""
    gpu: int | None = None
    """The GPU's number; None: the CPU."""
    threads: int = 1
    port: int = 0
    """0: a free one."""

    def words(self, port: int) -> list[str]:
        """Return the command line."""
        words = [str(self.python), "-m", "vllm.entrypoints.openai.api_server"]
        words += ["--model", str(self.model), "--served-model-name", "model"]
        words += ["--host", HOST, "--port", str(port), "--dtype", self.dtype]
        words += ["--enable-prefix-caching", "--max-logprobs", str(_LABELS)]
        # What a model's generation_config.json says of sampling is not what was asked for.
        words += ["--generation-config", "vllm", "--max-num-seqs", str(max(self.requests, 2))]
        if self.quantisation:
            words += ["--quantization", self.quantisation]
        if self.max_length is not None:
            words += ["--max-model-len", str(self.max_length)]
        if self.gpu is None:
            return [*words, "--enforce-eager"]
        return [*words, "--gpu-memory-utilization", str(self.memory)]

    def environment(self) -> dict[str, str]:
        """Return the environment variables, without what leads to this Python's packages."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if self.gpu is not None:
            return {**kept, **_QUIET, "CUDA_VISIBLE_DEVICES": str(self.gpu)}
        own = {"OMP_NUM_THREADS": str(self.threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        return {"VLLM_CPU_KVCACHE_SPACE": "1", **kept, **_QUIET, **own}


class Starting:
    """A server on its way up."""

    def __init__(self, launch: Launch) -> None:
        """Start its program; raises InputError where its port is taken."""
        self._launch = launch
        port = launch.port or free_port()
        if launch.port:
            check_port(port)
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        with launch.log.open("ab") as output:
            program = Program(launch.words(port), output, environment=launch.environment())
        self.server = Server(f"http://{HOST}:{port}", ANSWER_SECONDS, program)
        self.server.model = "model"

    def wait(self, seconds: float, check: Callable[[], None] = lambda: None) -> Server:
        """Return the server when it answers; raises InputError with the end of its log.

        `check` is called meanwhile, and may raise. What is raised ends the program.
        """
        until = time.monotonic() + seconds
        try:
            while self.server.problem():
                check()
                if ended := self.server.ended():
                    raise InputError(f"vLLM did not start: {ended}{self._words()}")
                if time.monotonic() > until:
                    problem = f"vLLM did not start within {seconds:g} s (inference.start_seconds)"
                    raise InputError(f"{problem}{self._words()}")
                time.sleep(_POLL_SECONDS)
        except BaseException:
            self.server.close()
            raise
        return self.server

    def _words(self) -> str:
        """Return what helps to understand: the end of the log, and what to do about memory."""
        with self._launch.log.open("rb") as output:
            said = last_lines(output, _TAIL)
        hint = ""
        if "memory" in said.lower():
            hint = "; where it is memory that lacks, lower inference.memory, inference.requests or "
            hint += "the stage's max_length"
        return f"{hint} (log: {self._launch.log}):\n{said}"


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def check_port(port: int) -> None:
    """Raise InputError for a port at which somebody listens."""
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            text = f"inference.port: {port} cannot be listened at ({error.strerror}); 0 takes a "
            raise InputError(text + "free one") from error
