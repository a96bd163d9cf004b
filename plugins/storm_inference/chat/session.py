"""A conversation with a model in the terminal."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any

from storm_exp import InputError
from storm_inference.chat.framing import Framing
from storm_inference.chat.sampling import SamplingParameters
from storm_inference.chat.speaker import Speaker
from storm_inference.chat.terminal import Terminal
from storm_models.chat.template import UnusableChat
from storm_models.chat.tool_calls import MalformedCall, parse_answer

_PROBE = {"role": "user", "content": "Hello"}
INTERRUPTED = 130
"""The exit code of a chat that Ctrl-C ended."""


class Session:
    """A conversation; it writes each answer to the terminal."""

    def __init__(
        self, speaker: Speaker, framing: Framing, sampling: SamplingParameters, terminal: Terminal
    ) -> None:
        """Begin a conversation; raises InputError if the template cannot render its beginning."""
        self._speaker, self._framing = speaker, framing
        self._sampling, self._terminal = sampling, terminal
        self._messages: list[dict[str, Any]] = []
        try:
            speaker.check(framing.around([_PROBE]))
        except UnusableChat as reason:
            raise InputError(f"the chat cannot begin: {reason}{framing.remedy()}") from reason

    def say(self, text: str) -> bool:
        """Answer a message; return whether the answer ended with a stop token.

        Raises UnusableChat if the message was not sent. An interrupted answer stays in the
        conversation as far as it was written.
        """
        question = {"role": "user", "content": text}
        pieces: list[str] = []

        def write(piece: str) -> None:
            pieces.append(piece)
            self._terminal.write(piece)

        seed = self._sampling.seed + len(self._messages)
        sampling = dataclasses.replace(self._sampling, seed=seed)
        try:
            chat = self._framing.around([*self._messages, question])
            return self._speaker.answer(chat, sampling, write)
        finally:
            if answer := "".join(pieces):
                self._messages += [question, {"role": "assistant", "content": answer}]

    def calls(self) -> list[str]:
        """Return the calls of the last answer as text; raises MalformedCall."""
        if self._framing.tools is None or not self._messages:
            return []
        calls = parse_answer(self._messages[-1]["content"], bare=True).calls
        return [f"{c.name}({json.dumps(c.arguments, ensure_ascii=False)})" for c in calls]

    def settle(self) -> None:
        """Remove an answer that cannot be rendered again from the conversation, with a note."""
        if not self._messages:
            return
        try:
            self._speaker.check(self._framing.around([*self._messages, _PROBE]))
        except UnusableChat as reason:
            self._terminal.note(f"(the conversation continues without this answer: {reason})")
            del self._messages[-2:]


def one_shot(session: Session, terminal: Terminal, text: str) -> int:
    """Write the answer to a single message, and a newline; return the exit code."""
    try:
        ended = session.say(text)
    except UnusableChat as reason:
        raise InputError(f"the message was not sent: {reason}") from reason
    terminal.write("\n")
    if not ended:
        terminal.note("(the answer was truncated: --max-tokens)")
    return 0


def converse(session: Session, terminal: Terminal) -> int:
    """Answer messages until the user ends the chat; return the exit code.

    Ctrl-C ends an answer; a second one without a message in between, or Ctrl-D, ends the chat.
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
            session.settle()
            terminal.note("(Ctrl-C once more, or Ctrl-D, ends the chat)")


def _answer(session: Session, terminal: Terminal, text: str) -> None:
    """Answer a message, and note truncation, calls or why it was not sent."""
    try:
        ended = session.say(text)
    except UnusableChat as reason:
        terminal.note(f"(not sent: {reason})")
        return
    terminal.write("\n")
    if not ended:
        terminal.note("(the answer was truncated: --max-tokens)")
    with contextlib.suppress(MalformedCall):
        for call in session.calls():
            terminal.note(f"calls {call}")
    session.settle()
