"""Client of a server with OpenAI's protocol and vLLM's additions."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import httpx

from storm_inference.engines.urls import root_of
from storm_inference.programs.program import Program

_LOOK_SECONDS = 5.0
"""Timeout of a request for a server's state."""
_CLOSE_SECONDS = 1.0
"""How long closing waits for requests in progress: a connection that is being opened while the
client is closed stays open."""
_SHOWN = 300
"""Characters of a response that an error shows."""


class Unavailable(Exception):
    """A server did not respond, or not properly: the request may be retried."""


class NotTaken(Unavailable):
    """A server is too busy for a request (429, 503), or cannot be reached: to be sent later."""


class Refused(Exception):
    """A server rejected a request as invalid: it must not be retried."""


class Server:
    """A server, and its program if this process started it."""

    def __init__(
        self, url: str, seconds: float, program: Program | None = None, *, key: str = ""
    ) -> None:
        """Connect to the server at `url`; a response may take `seconds`.

        `key` is sent with every request, and shown nowhere.
        """
        self.url = root_of(url)
        self.program = program
        self._key = key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = httpx.Client(
            base_url=self.url, timeout=seconds, limits=limits, trust_env=False, headers=headers
        )
        self._asking = 0
        self._idle = threading.Condition()
        self.model = ""
        """The name of the served model."""

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return the JSON of a response; raises Unavailable or Refused."""
        return self._read(path, lambda: self._client.post(path, json=body))

    def get(self, path: str, seconds: float = _LOOK_SECONDS) -> Any:
        """Return the JSON or the text of a response; raises Unavailable or Refused."""
        return self._read(path, lambda: self._client.get(path, timeout=seconds))

    def models(self) -> list[dict[str, Any]]:
        """Return the models of its list, each with its `id`; raises Unavailable or Refused."""
        answer = self.get("/v1/models")
        models = answer.get("data") if isinstance(answer, dict) else None
        entries = models if isinstance(models, list) else []
        return [model for model in entries if isinstance(model, dict) and "id" in model]

    def stream(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the events of a streamed response; raises Unavailable or Refused.

        Closing the iterator cancels the request.
        """
        try:
            with self._client.stream("POST", path, json={**body, "stream": True}) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    shown = self._shown(path, answer)
                    raise (Refused if answer.status_code < 500 else Unavailable)(shown)
                for line in answer.iter_lines():
                    name, _, value = line.partition(":")
                    if name == "error":
                        raise Unavailable(f"{self.url}{path}: {value[:_SHOWN]}")
                    if name != "data" or value.strip() == "[DONE]":
                        continue
                    event = json.loads(value)
                    if "error" in event:
                        raise Unavailable(f"{self.url}{path}: {str(event['error'])[:_SHOWN]}")
                    yield event
        except (httpx.HTTPError, OSError, ValueError) as error:
            problem = str(error) or type(error).__name__
            raise Unavailable(f"{self.url}{path}: {self.ended() or problem}") from error

    def _read(self, path: str, ask: Any) -> Any:
        with self._idle:
            self._asking += 1
        try:
            answer: httpx.Response = ask()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            text = self.ended() or str(error) or type(error).__name__
            raise NotTaken(f"{self.url}{path}: {text}") from error
        except (httpx.HTTPError, OSError, RuntimeError) as error:  # the last: it was closed
            problem = str(error) or type(error).__name__
            raise Unavailable(f"{self.url}{path}: {self.ended() or problem}") from error
        finally:
            with self._idle:
                self._asking -= 1
                self._idle.notify_all()
        shown = self._shown(path, answer)
        if answer.status_code in (429, 503):
            raise NotTaken(shown)
        if answer.status_code == 408 or answer.status_code >= 500:
            raise Unavailable(shown)
        if answer.status_code >= 400:
            raise Refused(shown)
        if not answer.headers.get("content-type", "").startswith("application/json"):
            return answer.text
        try:
            return answer.json()
        except ValueError as error:
            text = f"{self.url}{path}: no JSON: {answer.text[:_SHOWN]!r}"
            raise Unavailable(text) from error

    def _shown(self, path: str, answer: httpx.Response) -> str:
        """Return a response for an error, without the key, which some servers repeat."""
        said = answer.text.replace(self._key, "…") if self._key else answer.text
        shown = f"{self.url}{path}: HTTP {answer.status_code}: {said[:_SHOWN]}"
        if answer.status_code == 401:
            shown += "; it demands another key" if self._key else "; it demands a key"
            shown += " (inference.api_key_variable names the environment variable that has it)"
        return shown

    def ended(self) -> str:
        """Return how its program ended; empty while it runs, or if another process started it."""
        code = self.program.poll() if self.program else None
        return "" if code is None else f"the server has ended with {code}"

    def problem(self) -> str:
        """Return why it is not available; empty if it is."""
        if ended := self.ended():
            return ended
        try:
            self.get("/health")
        except (Unavailable, Refused) as error:
            return str(error)
        return ""

    def counters(self, *names: str) -> list[float]:
        """Return counters of its /metrics, 0 for those it does not have."""
        try:
            text = str(self.get("/metrics"))
        except (Unavailable, Refused):
            return [0.0] * len(names)
        return [
            sum(
                map(float, re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.MULTILINE))
            )
            for name in names
        ]

    def close(self) -> None:
        """Close the connections, and end the server's program if it was started here."""
        with self._idle:
            self._idle.wait_for(lambda: self._asking == 0, _CLOSE_SECONDS)
        self._client.close()
        if self.program is not None:
            self.program.end()
