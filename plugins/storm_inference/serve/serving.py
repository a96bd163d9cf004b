"""A server in the foreground: until a signal ends it, or it ends by itself."""

from __future__ import annotations

import json
import shlex
import time

from storm_exp import InputError
from storm_inference.servers.vllm_server import Launched, Starting

START_SECONDS = 1800.0
_POLL_SECONDS = 0.5
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve_until_told(launch: Launched) -> None:
    """Start a server, say how to ask it, and wait for Ctrl-C, which ends it.

    Raises InputError, with the end of its log, where it does not start or ends by itself.
    """
    starting = None
    try:
        _say(f"starts {launch.engine}; its log: {launch.log}")
        starting = Starting(launch)
        server = starting.wait(START_SECONDS)
        _say("\n".join(how_to_ask(server.url, launch)))
        while not server.ended():
            time.sleep(_POLL_SECONDS)
        raise InputError(f"{launch.engine} has ended{starting.explanation()}")
    except KeyboardInterrupt:
        _say(f"{launch.engine} ends")
    finally:
        if starting is not None:
            starting.server.close()


def how_to_ask(url: str, launch: Launched) -> list[str]:
    """Return lines with the address, the model's name, and a command that asks it."""
    message = {"role": "user", "content": "Hello"}
    body = json.dumps({"model": launch.name, "messages": [message]})
    words = ["curl", f"{url}/v1/chat/completions"]
    words += ["-H", "Content-Type: application/json", "-d", body]
    lines = [f"{url}/v1 serves the model '{launch.name}'; Ctrl-C ends it", shlex.join(words)]
    if launch.host not in _LOOPBACK:
        lines.append(f"whoever reaches {launch.host} may ask it: it has no key")
    return lines


def _say(text: str) -> None:
    print(text, flush=True)
