"""A chat template, rendered in a process that bounds its time and memory."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storm_exp import InputError

SECONDS = 10.0
"""CPU seconds that one rendering may take; usually it takes milliseconds."""
_GIGABYTES = 0.5


class UnusableChat(Exception):
    """A chat that cannot be rendered, or in which the assistant's turns cannot be located."""


@dataclasses.dataclass(frozen=True)
class Chat:
    """The chat that a template renders."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    ask: bool = False
    """Whether the text goes on to where the assistant's next answer begins."""


class Template:
    """A template's text, its variables, and the date that it shows as today's."""

    def __init__(
        self,
        text: str,
        arguments: dict[str, Any],
        date: str,
        specials: dict[str, Any] | None = None,
    ) -> None:
        """`specials` are the special tokens by name, `date` is an ISO date."""
        self.text, self.arguments, self.date = text, arguments, date
        self.renderings = 0
        """The number of chats rendered so far."""
        self._specials = specials or {}

    def render(self, chats: Sequence[Chat]) -> list[str | UnusableChat]:
        """Return each chat's text, or the reason why it cannot be rendered, in order.

        Raises InputError for a template that exceeds its time: a result would depend on the
        machine's speed.
        """
        self.renderings += len(chats)
        request = {
            "template": self.text,
            "variables": {**self._specials, **self.arguments},
            "date": self.date,
            "chats": [vars(chat) for chat in chats],
        }
        replies = _sandbox(os.getpid()).ask(request)
        return [
            reply
            if isinstance(reply, str)
            else UnusableChat(f"the chat template refuses it ({reply['error']})")
            for reply in replies
        ]


class _Sandbox:
    """The rendering process, started with the first request."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        atexit.register(self._stop)

    def ask(self, request: dict[str, Any]) -> list[Any]:
        text = json.dumps(request)
        with self._lock:
            process = self._running()
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(text + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except BrokenPipeError:
                line = ""
            except BaseException:  # Ctrl-C before the reply: the next request would read it
                self._stop()
                raise
            if line:
                replies: list[Any] = json.loads(line)
                return replies
            reason = process.communicate()[1].strip().rpartition("\n")[2]
            code, self._process = process.returncode, None
        if code == -signal.SIGPROF:
            raise InputError(
                f"the chat template computes for more than {SECONDS:g} seconds over one chat, by "
                "mistake or on purpose: set another chat.template"
            )
        raise InputError(f"the process that renders chat templates ended with {code} ({reason})")

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            program = Path(__file__).with_name("sandbox.py")
            self._process = subprocess.Popen(
                [sys.executable, str(program), str(SECONDS), str(_GIGABYTES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                # Ctrl-C is handled by the engine; the sandbox ends with its input.
                start_new_session=True,
            )
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@functools.cache
def _sandbox(process: int) -> _Sandbox:
    """Return the sandbox of this process: a fork must not read replies to its parent's requests."""
    return _Sandbox()
