"""A server that passes on what it is asked to a real one, and spoils answers as a test wants."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

Answer = dict[str, Any]


class Spoiling(ThreadingHTTPServer):
    """Stands before a server."""

    daemon_threads = True

    def __init__(self, url: str, spoil: Callable[[Answer], Any], good: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind = httpx.Client(base_url=url, timeout=300, trust_env=False)
        self.spoil = spoil
        """Is given an answer with log-probabilities of labels, and returns what is sent."""
        self.good = good
        """How many of them are passed on as they are."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Spoiling
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._pass_on(self.server.behind.get(self.path))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.behind.post(self.path, json=body)
        if "logprob_token_ids" not in body:
            self._pass_on(answer)
        else:
            self.server.good -= 1
            found = answer.json()
            sent = found if self.server.good >= 0 else self.server.spoil(found)
            self._send(json.dumps(sent).encode(), "application/json")

    def _pass_on(self, answer: httpx.Response) -> None:
        self._send(answer.content, answer.headers.get("content-type", ""), answer.status_code)

    def _send(self, content: bytes, kind: str, status: int = 200) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)


@contextlib.contextmanager
def spoiling(url: str, spoil: Callable[[Answer], Any], good: int) -> Iterator[str]:
    """Spoil what the server at `url` answers, but the first good ones; yields another address."""
    with Spoiling(url, spoil, good) as server, server.behind:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()
