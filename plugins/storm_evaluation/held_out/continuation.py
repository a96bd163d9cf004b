"""Conversations as prompts and the answers that continue them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Callable, Iterable, Sequence

from storm_exp import InputError
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer, ChatTokens
from storm_models.chat.template import UnusableChat


@dataclasses.dataclass(frozen=True)
class Continuation:
    """What is learnt of a conversation in one stretch, after everything that was said before."""

    document: str
    """Digest of the whole conversation."""
    prompt: list[int]
    answer: list[int]
    """With the token that ends the turn, where the template writes one."""


class Questions:
    """Conversations as they are asked: with a chat template, or as lines."""

    def __init__(self, renderer: ChatRenderer | None, encode: Callable[[str], list[int]]) -> None:
        """Without a renderer, turns are lines that begin with their role, encoded by `encode`."""
        self._renderer, self._encode = renderer, encode
        self.templated = renderer is not None

    def prompt(self, chat: Conversation) -> str:
        """Return the conversation up to where the assistant's answer begins."""
        if self._renderer is None:
            return _lines(chat, ask=True)
        try:
            return self._renderer.text(chat, ask=True)
        except UnusableChat as reason:
            raise InputError(f"a conversation cannot be asked: {reason}") from reason

    def continuations(self, chats: Sequence[Conversation]) -> list[list[Continuation] | str]:
        """Return what is learnt of each conversation, as training reads it, or why nothing is."""
        if self._renderer is None:
            return [self._continued_lines(chat) or "nothing supervised" for chat in chats]
        encoded = self._renderer.encode(chats)
        return [
            str(tokens)
            if isinstance(tokens, UnusableChat)
            else stretches(document_digest(chat), tokens) or "nothing supervised"
            for chat, tokens in zip(chats, encoded, strict=True)
        ]

    def _continued_lines(self, chat: Conversation) -> list[Continuation]:
        document, found = document_digest(chat), []
        for turn in chat.answers():
            before, whole = _lines(chat.first(turn), ask=True), _lines(chat.first(turn + 1))
            if len(whole) == len(before):
                continue
            prompt, ids = self._encode(before), self._encode(whole)
            shared = 0
            while shared < min(len(prompt), len(ids) - 1) and prompt[shared] == ids[shared]:
                shared += 1
            found.append(Continuation(document, ids[:shared], ids[shared:]))
        return found


def stretches(document: str, tokens: ChatTokens) -> list[Continuation]:
    """Return every run of supervised tokens with what stands before it.

    The first token of a text is never foretold, and so never counted.
    """
    found = []
    start = 1
    marks = tokens.supervised
    while start < len(marks):
        end = start
        while end < len(marks) and marks[end]:
            end += 1
        if end > start:
            found.append(Continuation(document, tokens.ids[:start], tokens.ids[start:end]))
        start = end + 1
    return found


@dataclasses.dataclass(frozen=True)
class Question:
    """Which of several answers is the one that was given?"""

    chat: Conversation
    choices: list[str]
    target: int


def build_questions(
    conversations: Iterable[Conversation], choices: int, characters: int, seed: int
) -> list[Question]:
    """Set the last answer of each conversation against answers of others.

    Answers are cut to `characters`. The wrong ones are drawn by `seed` and the conversation's
    content, so a question is the same whatever else is asked and in whatever order. Raises
    InputError when all answers are alike.
    """
    asked = [(chat, (chat.answers() or [0])[-1]) for chat in conversations]
    known = [(chat.first(end), chat.messages[end]["content"]) for chat, end in asked if end]
    cut = [(before, answer.strip()[:characters]) for before, answer in known]
    pool = sorted({answer for _, answer in cut if answer})
    if len(pool) < 2:
        raise InputError("the held-out rows need at least two different answers")
    questions = []
    for before, answer in cut:
        if not answer:
            continue
        others = [text for text in pool if text != answer]
        digest = hashlib.sha256(f"{seed} {document_digest(before)} {answer}".encode()).digest()
        generator = random.Random(digest)
        offered = [*generator.sample(others, min(choices - 1, len(others))), answer]
        generator.shuffle(offered)
        questions.append(Question(before, offered, offered.index(answer)))
    return questions


def document_digest(chat: Conversation) -> str:
    """Return a short name for a conversation, the same for every model."""
    said = [[m["role"], m["content"], *filter(None, [m.get("tool_calls")])] for m in chat.messages]
    text = json.dumps(said, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _lines(chat: Conversation, *, ask: bool = False) -> str:
    lines = [f"{message['role']}: {message['content']}" for message in chat.messages]
    return "\n".join([*lines, "assistant: "] if ask else lines)
