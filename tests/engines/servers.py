"""vLLM's servers that tests share."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from storm_inference.environments.vllm import vllm
from storm_inference.servers.server import Server
from storm_inference.servers.starting import Starting
from storm_inference.servers.vllm_server import Launch

START_SECONDS = 900


class Servers:
    """A server for each model and way of serving it, started when it is first asked for."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        """The folder of what they write."""
        self._begun: dict[tuple[object, ...], Starting] = {}
        self._open = contextlib.ExitStack()

    def begin(self, model: Path, **options: Any) -> Starting:
        """Start a server, without waiting for it: what two have to do, two cores do at once."""
        key = (model, *sorted(options.items()))
        if key not in self._begun:
            log = self.logs / f"vllm-{len(self._begun)}.log"
            words = {"dtype": "float32", "requests": 8, **options}
            launch = Launch(python=vllm().python(), model=model, log=log, **words)
            self._begun[key] = Starting(launch)
            self._open.callback(self._begun[key].server.close)
        return self._begun[key]

    def get(self, model: Path, **options: Any) -> Server:
        """Return a server that answers."""
        return self.begin(model, **options).wait(START_SECONDS)

    def close(self) -> None:
        """End them all."""
        self._open.close()
