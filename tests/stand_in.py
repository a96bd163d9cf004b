"""A small server of the protocol, on threads: it reads prompts off their last token."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StandIn(ThreadingHTTPServer):
    """What a test can make fail, be slow, or answer nonsense."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.stopping = threading.Event()
        self.asked: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = 0
        self.guard = threading.Lock()
        self.healthy = True
        self.before: Callable[[dict[str, Any]], int | None] = lambda body: None
        """Runs before an answer; a status that it returns is answered instead."""
        self.seconds = 0.0
        """How long an answer takes."""
        self.metrics = ""
        """The text of /metrics."""
        self.tokens_per_look = self.tokens = 0
        """By how much its counter of tokens grows until it is looked at again."""
        self.canary: dict[str, Any] = {}
        """Token ids and log-probabilities of a checkpoint's canary, which it gives as its own."""
        self.key = ""
        """The key that requests must have, if any."""
        self.after: Callable[[dict[str, Any]], Any] = lambda answer: answer
        """Changes an answer."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"
    timeout = 5

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _has_key(self) -> bool:
        """Whether a request has the key; else it is refused, as some servers do: with its key."""
        given = self.headers.get("Authorization", "no key")
        if not self.server.key or given == f"Bearer {self.server.key}":
            return True
        self._send(401, {"error": f"invalid key: {given.removeprefix('Bearer ')}"})
        return False

    def do_GET(self) -> None:
        if not self._has_key():
            pass
        elif self.path == "/health":
            self._send(200 if self.server.healthy else 503, {})
        elif self.path == "/v1/models":
            self._send(200, {"data": [{"id": "toy"}]})
        elif self.path == "/metrics":
            self.server.tokens += self.server.tokens_per_look
            tokens = f"vllm:generation_tokens_total {self.server.tokens}\n"
            self._send(200, (self.server.metrics + tokens).encode(), "text/plain")
        else:
            self._send(404, {})

    def do_POST(self) -> None:
        stand_in = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._has_key():
            return
        if self.path == "/tokenize":
            self._send(200, {"tokens": stand_in.canary["ids"]})
            return
        if "prompt_logprobs" in body:
            given = zip(stand_in.canary["ids"][1:], stand_in.canary["logs"], strict=True)
            logs = [None, *({str(token): {"logprob": log}} for token, log in given)]
            self._send(200, {"choices": [{"prompt_logprobs": logs}]})
            return
        with stand_in.guard:
            stand_in.asked.append(body)
            stand_in.at_once += 1
            stand_in.most_at_once = max(stand_in.most_at_once, stand_in.at_once)
        try:
            stand_in.stopping.wait(stand_in.seconds)
            status = stand_in.before(body)
        finally:
            with stand_in.guard:
                stand_in.at_once -= 1
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if status:
                self._send(status, {"error": "as the test wants it"})
            else:
                self._send(200, stand_in.after(complete(body)))

    def _send(self, status: int, content: Any, kind: str = "application/json") -> None:
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def complete(body: dict[str, Any]) -> dict[str, Any]:
    """Answer as vLLM does, with log-probabilities that follow from the prompt's last token."""
    prompts = body["prompt"] if isinstance(body["prompt"][0], list) else [body["prompt"]]
    choices = []
    for index, prompt in enumerate(prompts):
        choice: dict[str, Any] = {"index": index, "finish_reason": "stop", "text": ""}
        if "logprob_token_ids" in body:
            logs = {f"token_id:{t}": expected(prompt, t) for t in body["logprob_token_ids"]}
            choice["logprobs"] = {"top_logprobs": [logs]}
        choice["token_ids"] = [prompt[-1], 7]
        choices.append(choice)
    return {"choices": choices[::-1]}  # the protocol promises no order


def expected(prompt: list[int], label: int) -> float:
    """Return the log-probability that the stand-in gives a label."""
    return -float(prompt[-1]) - label / 8 - 2


@contextlib.contextmanager
def running() -> Iterator[StandIn]:
    """Run a stand-in, and stop it."""
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()
