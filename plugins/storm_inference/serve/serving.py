"""A server in the foreground."""

from __future__ import annotations

import json
import shlex
import time

from storm_exp import InputError
from storm_inference.servers.starting import OF_VERBS, VLLM_KEY, ServerLaunch, Starting

_START_SECONDS = 1800.0
_POLL_SECONDS = 0.5
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def run_server(launch: ServerLaunch) -> None:
    """Start a server, print how to use it, and wait for Ctrl-C, which ends it.

    Raises InputError, with the end of the log, if it does not start or ends by itself.
    """
    starting = None
    try:
        print(f"starting {launch.engine} (log: {launch.log})", flush=True)
        starting = Starting(launch, OF_VERBS)
        server = starting.wait(_START_SECONDS)
        print("\n".join(instructions(server.url, launch)), flush=True)
        while not server.ended():
            time.sleep(_POLL_SECONDS)
        raise InputError(f"{launch.engine}: {server.ended()}{starting.explanation()}")
    except KeyboardInterrupt:
        print(f"\nending {launch.engine}", flush=True)
    finally:
        if starting is not None:
            starting.server.close()


def instructions(url: str, launch: ServerLaunch) -> list[str]:
    """Return lines with the address, the model's name, and a curl command."""
    message = {"role": "user", "content": "Hello"}
    body = json.dumps({"model": launch.name, "messages": [message]})
    has_key = launch.engine == "vLLM" and bool(launch.environment().get(VLLM_KEY))
    words = ["-H", "Content-Type: application/json", "-d", body]
    key = f'-H "Authorization: Bearer ${VLLM_KEY}" ' if has_key else ""
    curl = f"curl {shlex.quote(f'{url}/v1/chat/completions')} {key}{shlex.join(words)}"
    lines = [f"{url}/v1 serves the model '{launch.name}'. Ctrl-C ends it", curl]
    if launch.host not in _LOOPBACK and not has_key:
        lines.append(f"anyone who can reach {launch.host} can use it: there is no authentication")
    return lines
