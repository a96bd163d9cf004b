"""Several servers and one queue: a slow server does not delay the requests of the others."""

from __future__ import annotations

import collections
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from storm_exp import InputError
from storm_inference.servers.progress import Progress
from storm_inference.servers.server import NotTaken, Refused, Server, Unavailable

ATTEMPTS = 4
"""Number of failed attempts after which a request fails."""
_POLL_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0


class Unreadable(Exception):
    """A response does not have the requested content."""


@dataclasses.dataclass(eq=False)
class Request:
    """A request, and how its response is parsed."""

    path: str
    body: dict[str, Any]
    read: Callable[[Any], Any]
    """Returns the result of a response; raises Unreadable."""
    rows: int = 1
    """Number of rows for the progress."""


class Pool:
    """Servers of the same model."""

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        requests: int,
        patience: float,
        stall: float = 300.0,
        say: Callable[[str], None] = lambda text: None,
        check: Callable[[], None] = lambda: None,
        changed: Callable[[Server], str] | None = None,
    ) -> None:
        """Send each server up to `requests` concurrent requests.

        A server that fails for `patience` seconds, or has requests and shows no progress for
        `stall` seconds, is dropped, which is reported through `say`. `check` is called regularly
        and may raise to cancel the requests. `changed` returns why a server that failed and is
        available again is not the same one any more, or ''.
        """
        self.servers = list(servers)
        self._progress = {server: Progress(server) for server in servers}
        self._requests, self._patience, self._stall = requests, patience, stall
        self._say, self._check, self._changed = say, check, changed

    def ask(self, requests: Sequence[Request], advance: Callable[[int], None]) -> list[Any]:
        """Return the results in the order of the requests.

        `advance` is called with numbers of finished rows. Raises InputError if a request fails for
        good or no server is left.
        """
        queue = _Queue(requests, self._patience)
        if not self.servers:
            raise InputError("no server is left")
        threads = [
            (threading.Thread(target=self._work, args=(server, queue), daemon=True), server)
            for server in self.servers
            for _ in range(min(self._requests, len(requests)))
        ]
        for thread, _ in threads:
            thread.start()
        for server in self.servers:
            threading.Thread(target=self._watch, args=(server, queue), daemon=True).start()
        try:
            while not queue.over(_POLL_SECONDS):
                self._check()
                if fresh := queue.fresh_rows():
                    advance(fresh)
                if not any(t.is_alive() and server not in queue.lost for t, server in threads):
                    queue.fail(f"no server is left: {'; '.join(queue.lost.values())}")
        finally:
            queue.stop()
        for server in queue.overtaken:  # it is slow, or has failed
            if problem := server.problem():
                queue.lost.setdefault(server, problem)
        for server, problem in queue.lost.items():
            self._say(f"{server.url} is not used any more: {problem}")
            self.servers.remove(server)
        if fresh := queue.fresh_rows():
            advance(fresh)
        return queue.results()

    def _work(self, server: Server, queue: _Queue) -> None:
        while (number := queue.take(server)) is not None:
            request = queue.requests[number]
            try:
                body = {"model": server.model, **request.body}
                with self._progress[server].request():
                    answer = server.post(request.path, body)
                result = request.read(answer)
            except Refused as error:
                queue.fail(str(error))
            except NotTaken as error:
                queue.return_(number, server)
                if problem := self._wait_to_retry(server, queue, str(error)):
                    queue.lost.setdefault(server, problem)
                    return
            except (Unavailable, Unreadable) as error:
                queue.put_back(number, server, str(error))
                if queue.over(0):
                    return
                if isinstance(error, Unavailable) and (problem := self._wait_for(server, queue)):
                    queue.lost.setdefault(server, problem)
                    return
            else:
                queue.finish(number, server, result)

    def _watch(self, server: Server, queue: _Queue) -> None:
        """Drop a server that has requests, and neither answers one nor computes a token."""
        while not queue.over(min(self._stall / 4, _LONGEST_PAUSE_SECONDS)):
            if self._progress[server].seconds_without() > self._stall:
                problem = f"{server.url} took requests, and for {self._stall:g} s it answered none"
                problem += " and its /metrics counted no token (inference.stall_seconds)"
                queue.drop(server, problem)
                return

    def _wait_for(self, server: Server, queue: _Queue, *, failed: bool = True) -> str:
        """Wait until a server is available, and the same if it failed; return why it is dropped."""
        until, pause = time.monotonic() + self._patience, _POLL_SECONDS
        while problem := server.problem() or (self._difference(server) if failed else ""):
            failed = True
            if server.ended() or server in queue.lost or time.monotonic() > until:
                return problem
            if queue.over(pause):
                return ""
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return ""

    def _difference(self, server: Server) -> str:
        return self._changed(server) if self._changed else ""

    def _wait_to_retry(self, server: Server, queue: _Queue, problem: str) -> str:
        """Pause before a server that took no request gets one; return why it is dropped, or ''."""
        seconds, works = queue.not_taken(server)
        if server in queue.lost or (seconds > self._patience and not works):
            return problem
        queue.over(min(max(seconds, _POLL_SECONDS), _LONGEST_PAUSE_SECONDS))
        return self._wait_for(server, queue, failed=False)


class _Queue:
    """Waiting requests, requests in progress, and results."""

    def __init__(self, requests: Sequence[Request], patience: float) -> None:
        self.requests = requests
        self.lost: dict[Server, str] = {}
        """{dropped server: why}"""
        self.overtaken: set[Server] = set()
        """Servers that were still processing a request when another one had answered it."""
        self._patience = patience
        self._waiting = collections.deque(range(len(requests)))
        self._asked: dict[int, dict[Server, float]] = {}
        """{request: {server that processes it: start time}}"""
        self._attempts = collections.Counter[int]()
        self._not_taken: dict[Server, float] = {}
        """{server: since when it takes no requests}"""
        self._results: dict[int, Any] = {}
        self._counted = 0
        self._failure = ""
        self._stopped = False
        self._change = threading.Condition()

    def take(self, server: Server) -> int | None:
        """Return the number of the next request for a server, None if there are no more."""
        with self._change:
            while not (self._is_over() or server in self.lost):
                number = self._waiting.popleft() if self._waiting else self._late(server)
                if number is not None:
                    self._asked.setdefault(number, {})[server] = time.monotonic()
                    return number
                self._change.wait(_POLL_SECONDS)
        return None

    def _late(self, server: Server) -> int | None:
        """Return a request that other servers have processed for longer than the patience, and
        that this server does not have yet: the first response counts.
        """
        before = time.monotonic() - self._patience
        for number, since in self._asked.items():
            if server not in since and max(since.values(), default=before) < before:
                return number
        return None

    def finish(self, number: int, server: Server, result: Any) -> None:
        """Store the result of a request, unless it has one."""
        with self._change:
            self._not_taken.pop(server, None)
            self.overtaken |= self._asked.pop(number, {}).keys() - {server}
            self._results.setdefault(number, result)
            self._change.notify_all()

    def put_back(self, number: int, server: Server, problem: str) -> None:
        """Queue a request that failed again, unless it failed too often."""
        with self._change:
            self._attempts[number] += 1
            if self._requeue(number, server) and self._attempts[number] >= ATTEMPTS:
                self._failure = self._failure or f"{ATTEMPTS} attempts failed: {problem}"

    def return_(self, number: int, server: Server) -> None:
        """Queue a request again that a server did not take."""
        with self._change:
            self._requeue(number, server)

    def _requeue(self, number: int, server: Server) -> bool:
        """Return whether a request waits again: another server may process or have answered it."""
        others = self._asked.get(number, {})
        taken = others.pop(server, None)  # not by a server that was dropped meanwhile
        if taken is None or number in self._results or others:
            return False
        self._asked.pop(number, None)
        self._waiting.append(number)
        self._change.notify_all()
        return True

    def not_taken(self, server: Server) -> tuple[float, bool]:
        """Return how long a server has taken no request, and whether it processes one."""
        now = time.monotonic()
        with self._change:
            works = any(server in servers for servers in self._asked.values())
            return now - self._not_taken.setdefault(server, now), works

    def drop(self, server: Server, problem: str) -> None:
        """Give a server no more requests, and those that it has to others."""
        with self._change:
            self.lost.setdefault(server, problem)
            for number in [n for n, servers in self._asked.items() if server in servers]:
                self._requeue(number, server)
            self._change.notify_all()

    def fail(self, problem: str) -> None:
        """Cancel all requests because of a failure."""
        with self._change:
            self._failure = self._failure or problem
            self._change.notify_all()

    def stop(self) -> None:
        """Hand out no more requests."""
        with self._change:
            self._stopped = True
            self._change.notify_all()

    def over(self, seconds: float) -> bool:
        """Wait up to `seconds` for the end; return whether all is answered or was cancelled."""
        with self._change:
            return self._change.wait_for(self._is_over, seconds)

    def _is_over(self) -> bool:
        return self._stopped or bool(self._failure) or len(self._results) == len(self.requests)

    def fresh_rows(self) -> int:
        """Return the number of rows that were finished since the last call."""
        with self._change:
            done = sum(self.requests[number].rows for number in self._results)
        fresh, self._counted = done - self._counted, done
        return fresh

    def results(self) -> list[Any]:
        """Return the results in order; raises InputError if one is missing."""
        if len(self._results) < len(self.requests):
            raise InputError(self._failure or "the requests were cancelled")
        return [self._results[number] for number in range(len(self.requests))]
