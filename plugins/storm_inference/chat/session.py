"""A conversation with a model, and the loop of an interactive chat."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any

from storm_exp import InputError
from storm_inference.chat.backend import ChatBackend
from storm_inference.chat.chat_setup import PROBE, ChatSetup
from storm_inference.chat.sampling import SamplingOptions
from storm_inference.chat.terminal import Terminal
from storm_models.chat.template import UnusableChat
from storm_models.chat.tool_calls import MalformedCall, parse_answer
from storm_report.controls import escape_controls

_CUT = "(the answer was cut off at the limit: --max-tokens)"
INTERRUPTED = 130
"""Exit code of a chat that Ctrl-C ended."""


class Session:
    """A conversation that grows with every message and its answer."""

    def __init__(
        self,
        backend: ChatBackend,
        setup: ChatSetup,
        sampling: SamplingOptions,
        terminal: Terminal,
    ) -> None:
        """Start a conversation; raises InputError if the template cannot render it."""
        self._backend, self._setup = backend, setup
        self._sampling, self._terminal = sampling, terminal
        self._messages: list[dict[str, Any]] = []
        try:
            backend.check(setup.around([PROBE]))
        except UnusableChat as reason:
            problem = f"the chat cannot start: {reason}{setup.remedy(reason, backend.check)}"
            raise InputError(escape_controls(problem)) from reason

    def say(self, text: str) -> bool:
        """Write the answer to a message; return whether it ended with a stop token.

        Raises UnusableChat if the message cannot be sent. An answer that is interrupted stays in
        the conversation as far as it was written.
        """
        message = {"role": "user", "content": text}
        pieces: list[str] = []

        def write(piece: str) -> None:
            pieces.append(piece)
            self._terminal.write(piece)

        seed = self._sampling.seed + len(self._messages)
        sampling = dataclasses.replace(self._sampling, seed=seed)
        try:
            chat = self._setup.around([*self._messages, message])
            return self._backend.answer(chat, sampling, write)
        finally:
            if answer := "".join(pieces):
                self._messages += [message, {"role": "assistant", "content": answer}]

    def calls(self) -> list[str]:
        """Return the tool calls of the last answer as text; raises MalformedCall."""
        if self._setup.tools is None or not self._messages:
            return []
        calls = parse_answer(self._messages[-1]["content"], bare=True).calls
        return [f"{c.name}({json.dumps(c.arguments, ensure_ascii=False)})" for c in calls]

    def drop_unusable(self) -> None:
        """Remove the last answer and its message if the conversation cannot be rendered again."""
        if not self._messages:
            return
        try:
            self._backend.check(self._setup.around([*self._messages, PROBE]))
        except UnusableChat as reason:
            self._terminal.note(f"(the conversation continues without this answer: {reason})")
            del self._messages[-2:]


def one_shot(session: Session, terminal: Terminal, text: str) -> int:
    """Write the answer to one message, and a newline; return the exit code."""
    try:
        ended = session.say(text)
    except UnusableChat as reason:
        raise InputError(escape_controls(f"the message was not sent: {reason}")) from reason
    terminal.write("\n")
    if not ended:
        terminal.note(_CUT)
    return 0


def converse(session: Session, terminal: Terminal) -> int:
    """Answer the user's messages until the chat is ended; return the exit code.

    Ctrl-C ends an answer. A second Ctrl-C without a message in between ends the chat, as does
    Ctrl-D.
    """
    interrupted = False
    while True:
        try:
            text = terminal.ask()
            if not text.strip():
                continue
            interrupted = False
            _answer(session, terminal, text)
        except EOFError:
            terminal.write("\n")
            return 0
        except KeyboardInterrupt:
            terminal.write("\n")
            if interrupted:
                return INTERRUPTED
            interrupted = True
            session.drop_unusable()
            terminal.note("(Ctrl-C again, or Ctrl-D, ends the chat)")


def _answer(session: Session, terminal: Terminal, text: str) -> None:
    """Write the answer to a message, with notes on it."""
    try:
        ended = session.say(text)
    except UnusableChat as reason:
        terminal.note(f"(not sent: {reason})")
        return
    terminal.write("\n")
    if not ended:
        terminal.note(_CUT)
    with contextlib.suppress(MalformedCall):
        for call in session.calls():
            terminal.note(f"tool call: {call}")
    session.drop_unusable()
