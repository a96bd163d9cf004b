"""Several servers and one queue: each takes what it can, and none holds up the others."""

from __future__ import annotations

import collections
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from storm_exp import InputError
from storm_inference.servers.server import Refused, Server, Unavailable

ATTEMPTS = 4
"""How often a request is put before its answer counts as not to be had."""
_POLL_SECONDS = 0.2


class Unreadable(Exception):
    """An answer is not what was asked for."""


@dataclasses.dataclass(eq=False)
class Request:
    """What is asked, and how the answer is read."""

    path: str
    body: dict[str, Any]
    read: Callable[[Any], Any]
    """Returns what the answer says; raises Unreadable."""
    rows: int = 1
    """What it counts for."""


class Pool:
    """Servers of the same model."""

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        requests: int,
        patience: float,
        say: Callable[[str], None] = lambda text: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Give each server `requests` requests at once.

        One that fails is waited for `patience` seconds, and given up. `say` hears of it, `check`
        is called now and then and may raise to end the asking.
        """
        self.servers = list(servers)
        self._requests, self._patience = requests, patience
        self._say, self._check = say, check

    def ask(self, requests: Sequence[Request], advance: Callable[[int], None]) -> list[Any]:
        """Return what the answers say, in the order of the requests; `advance` hears of rows.

        Raises InputError where a request cannot be answered, or no server is left.
        """
        queue = _Queue(requests, self._patience)
        if not self.servers:
            raise InputError("no server is left to ask")
        threads = [
            threading.Thread(target=self._work, args=(server, queue), daemon=True)
            for server in self.servers
            for _ in range(min(self._requests, len(requests)))
        ]
        for thread in threads:
            thread.start()
        try:
            while not queue.over(_POLL_SECONDS):
                self._check()
                if fresh := queue.fresh_rows():
                    advance(fresh)
                if not any(thread.is_alive() for thread in threads):
                    queue.fail(f"no server is left: {'; '.join(queue.lost.values())}")
        finally:
            queue.stop()
        for server in queue.overtaken:  # which is slow, or does nothing any more
            if problem := server.problem():
                queue.lost.setdefault(server, problem)
        for server, problem in queue.lost.items():
            self._say(f"{server.url} is not asked any more: {problem}")
            self.servers.remove(server)
        if fresh := queue.fresh_rows():
            advance(fresh)
        return queue.results()

    def _work(self, server: Server, queue: _Queue) -> None:
        while (number := queue.take(server)) is not None:
            request = queue.requests[number]
            try:
                body = {"model": server.model, **request.body}
                found = request.read(server.post(request.path, body))
            except Refused as error:
                queue.fail(str(error))
            except (Unavailable, Unreadable) as error:
                queue.put_back(number, server, str(error))
                if queue.over(0):
                    return
                if isinstance(error, Unavailable) and (problem := self._wait_for(server, queue)):
                    queue.lost.setdefault(server, problem)
                    return
            else:
                queue.finish(number, server, found)

    def _wait_for(self, server: Server, queue: _Queue) -> str:
        """Wait until a server that failed can be asked; return why it is given up, or ''."""
        until, pause = time.monotonic() + self._patience, _POLL_SECONDS
        while problem := server.problem():
            if server.ended() or server in queue.lost or time.monotonic() > until:
                return problem
            if queue.over(pause):
                return ""
            pause = min(2 * pause, 5.0)
        return ""


class _Queue:
    """Requests that wait, those that are being answered, and what came of the others."""

    def __init__(self, requests: Sequence[Request], patience: float) -> None:
        self.requests = requests
        self.lost: dict[Server, str] = {}
        """Servers that were given up, and why."""
        self.overtaken: set[Server] = set()
        """Servers that had a request for long when another one had answered it."""
        self._patience = patience
        self._waiting = collections.deque(range(len(requests)))
        self._asked: dict[int, dict[Server, float]] = {}
        """By request, who is answering it, and since when."""
        self._attempts = collections.Counter[int]()
        self._found: dict[int, Any] = {}
        self._counted = 0
        self._failure = ""
        self._stopped = False
        self._change = threading.Condition()

    def take(self, server: Server) -> int | None:
        """Return the number of the next request for a server, None when there is no more."""
        with self._change:
            while not self._is_over():
                number = self._waiting.popleft() if self._waiting else self._late(server)
                if number is not None:
                    self._asked.setdefault(number, {})[server] = time.monotonic()
                    return number
                self._change.wait(_POLL_SECONDS)
        return None

    def _late(self, server: Server) -> int | None:
        """Return a request that another server has not answered for long, and this one was not
        given: the first answer counts.
        """
        before = time.monotonic() - self._patience
        for number, since in self._asked.items():
            if server not in since and max(since.values(), default=before) < before:
                return number
        return None

    def finish(self, number: int, server: Server, found: Any) -> None:
        """Keep what an answer says."""
        with self._change:
            self.overtaken |= self._asked.pop(number, {}).keys() - {server}
            self._found.setdefault(number, found)
            self._change.notify_all()

    def put_back(self, number: int, server: Server, problem: str) -> None:
        """Have a request put again, unless it was put too often or somebody else answers it."""
        with self._change:
            self._attempts[number] += 1
            others = self._asked.get(number, {})
            others.pop(server, None)
            if number in self._found or others:
                return
            self._asked.pop(number, None)
            self._waiting.append(number)
            if self._attempts[number] >= ATTEMPTS:
                self._failure = self._failure or f"asked {ATTEMPTS} times in vain: {problem}"
            self._change.notify_all()

    def fail(self, problem: str) -> None:
        """End the asking, for good."""
        with self._change:
            self._failure = self._failure or problem
            self._change.notify_all()

    def stop(self) -> None:
        """Give out no more requests."""
        with self._change:
            self._stopped = True
            self._change.notify_all()

    def over(self, seconds: float) -> bool:
        """Return whether everything is answered, or nothing more will be, after waiting for it."""
        with self._change:
            return self._change.wait_for(self._is_over, seconds)

    def _is_over(self) -> bool:
        return self._stopped or bool(self._failure) or len(self._found) == len(self.requests)

    def fresh_rows(self) -> int:
        """Return the rows that were answered since the last time."""
        with self._change:
            done = sum(self.requests[number].rows for number in self._found)
        fresh, self._counted = done - self._counted, done
        return fresh

    def results(self) -> list[Any]:
        """Return what the answers say; raises InputError where one is missing."""
        if len(self._found) < len(self.requests):
            raise InputError(self._failure or "the asking was ended")
        return [self._found[number] for number in range(len(self.requests))]
