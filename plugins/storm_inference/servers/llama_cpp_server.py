"""The command line of llama.cpp's server for a GGUF file."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

from storm_inference.servers.port import HOST
from storm_inference.servers.vllm_server import unique_name

_PROGRAM = Path(__file__).with_name("llama_cpp_program.py")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LlamaCppLaunch:
    """A server's GGUF file and options."""

    engine: str = "llama.cpp"
    python: Path
    """The interpreter of llama.cpp's environment."""
    file: Path
    log: Path
    name: str = dataclasses.field(default_factory=unique_name)
    """Name of the model in requests."""
    host: str = HOST
    port: int = 0
    """0: a free port."""
    max_length: int | None = None
    """Maximum length of a prompt with its answer, in tokens; None: the file's context length."""
    threads: int = 1

    def words(self, port: int) -> list[str]:
        """Return the command line."""
        settings = {
            "file": str(self.file),
            "host": self.host,
            "port": port,
            "name": self.name,
            "max_length": self.max_length or 0,
            "threads": self.threads,
        }
        return [str(self.python), str(_PROGRAM), json.dumps(settings)]

    def environment(self) -> dict[str, str]:
        """Return the environment variables, without the path of this Python's packages."""
        return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
