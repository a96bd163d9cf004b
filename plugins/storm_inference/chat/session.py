"""A chat: what was said so far, and what comes next."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any

from storm_exp import InputError
from storm_inference.chat.drawing import Drawing
from storm_inference.chat.framing import Framing
from storm_inference.chat.speaker import Speaker
from storm_inference.chat.terminal import Terminal
from storm_models.chat.template import UnusableChat
from storm_models.chat.tool_calls import MalformedCall, parse_answer

_PROBE = {"role": "user", "content": "Hello"}
INTERRUPTED = 130
"""The exit code of a chat that Ctrl-C ended."""


class Session:
    """Keeps a conversation, and has the next answer written."""

    def __init__(
        self, speaker: Speaker, framing: Framing, drawing: Drawing, terminal: Terminal
    ) -> None:
        """Begin a conversation; raises InputError where the template cannot say how it begins."""
        self._speaker, self._framing = speaker, framing
        self._drawing, self._terminal = drawing, terminal
        self._messages: list[dict[str, Any]] = []
        try:
            speaker.check(framing.around([_PROBE]))
        except UnusableChat as reason:
            raise InputError(f"the chat cannot begin: {reason}{framing.remedy()}") from reason

    def say(self, text: str) -> bool:
        """Have a message answered; return whether the answer ended by itself.

        Raises UnusableChat where the message was not sent. What an answer said before it was
        interrupted stays in the conversation.
        """
        asked = {"role": "user", "content": text}
        said: list[str] = []

        def write(piece: str) -> None:
            said.append(piece)
            self._terminal.write(piece)

        seed = self._drawing.seed + len(self._messages)
        drawing = dataclasses.replace(self._drawing, seed=seed)
        try:
            chat = self._framing.around([*self._messages, asked])
            return self._speaker.answer(chat, drawing, write)
        finally:
            if answer := "".join(said):
                self._messages += [asked, {"role": "assistant", "content": answer}]

    def calls(self) -> list[str]:
        """Return the tools that the last answer calls, as text; raises MalformedCall."""
        if self._framing.tools is None or not self._messages:
            return []
        calls = parse_answer(self._messages[-1]["content"], bare=True).calls
        return [f"{c.name}({json.dumps(c.arguments, ensure_ascii=False)})" for c in calls]

    def settle(self) -> None:
        """Leave out of the conversation an answer that cannot be rendered again, and say so."""
        if not self._messages:
            return
        try:
            self._speaker.check(self._framing.around([*self._messages, _PROBE]))
        except UnusableChat as reason:
            self._terminal.note(f"(the conversation goes on without this answer: {reason})")
            del self._messages[-2:]


def one_shot(session: Session, terminal: Terminal, text: str) -> int:
    """Write the answer to one message, and a newline; return the exit code."""
    try:
        ended = session.say(text)
    except UnusableChat as reason:
        raise InputError(f"the message was not sent: {reason}") from reason
    terminal.write("\n")
    if not ended:
        terminal.note("(the answer is cut there: --max-tokens)")
    return 0


def converse(session: Session, terminal: Terminal) -> int:
    """Answer what the user types until they end it; return the exit code.

    Ctrl-C ends an answer; a second one, without a message between them, ends the chat, and so does
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
            session.settle()
            terminal.note("(Ctrl-C once more, or Ctrl-D, ends the chat)")


def _answer(session: Session, terminal: Terminal, text: str) -> None:
    """Have a message answered, and tell what became of it."""
    try:
        ended = session.say(text)
    except UnusableChat as reason:
        terminal.note(f"(not sent: {reason})")
        return
    terminal.write("\n")
    if not ended:
        terminal.note("(the answer is cut there: --max-tokens)")
    with contextlib.suppress(MalformedCall):
        for call in session.calls():
            terminal.note(f"calls {call}")
    session.settle()
