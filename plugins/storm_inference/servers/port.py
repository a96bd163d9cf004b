"""Ports of this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import IO

from storm_exp import InputError, Plan
from storm_inference.engines.plan_error import serving_error

HOST = "127.0.0.1"
HIGHEST = 65535


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def check_port(port: int, host: str = HOST, setting: str = "inference.port") -> None:
    """Raise InputError, naming the setting, for a port that is in use, or that does not exist."""
    if port > HIGHEST:
        raise InputError(f"{setting}: there is no port {port}: the highest one is {HIGHEST}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(_unusable(port, str(error.strerror), setting)) from error


def check_ports(plan: Plan) -> None:
    """Raise PlanError if the last of the servers that a stage starts would get no port."""
    for node in plan.to_make():
        if not getattr(node.settings, "serves", False):
            continue
        first, count = node.settings.serving.given().port, plan.cells[0].recipe.runtime.devices
        if first and first + count - 1 > HIGHEST:
            problem = f"the last of {count} servers, one on each device, would have port "
            problem += f"{first + count - 1}: the highest one is {HIGHEST}"
            raise serving_error(plan, node, "port", first, problem)


def claim_port(port: int, setting: str = "inference.port") -> IO[bytes]:
    """Return a locked file: until every copy of it is closed, this user's runs refuse the port.

    A server binds its port long before it listens, and until then another one can bind it too:
    `check_port` cannot see it. Raises InputError if the port is claimed.
    """
    file = Path(tempfile.gettempdir()) / f"storm-exp-{os.getuid()}-port-{port}.lock"
    lock = file.open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        problem = "another run's server starts or runs there"
        raise InputError(_unusable(port, problem, setting)) from error
    return lock


def _unusable(port: int, problem: str, setting: str) -> str:
    return f"{setting}: port {port} cannot be used ({problem}); 0 takes a free one"
