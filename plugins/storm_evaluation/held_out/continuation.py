"""Held-out conversations as prompts with continuations, and as multiple-choice questions."""

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
    """A run of supervised tokens of a conversation, after all tokens before it."""

    document: str
    """Digest of the whole conversation."""
    prompt: list[int]
    answer: list[int]
    """The supervised tokens, with the token that ends the turn if the template writes one."""


class Questions:
    """Renders conversations for evaluation: with a chat template, or as lines."""

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
            raise InputError(f"a conversation cannot be rendered: {reason}") from reason

    def continuations(self, chats: Sequence[Conversation]) -> list[list[Continuation] | str]:
        """Return each conversation's supervised runs, as in training, or why there are none."""
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
        document, continuations = document_digest(chat), []
        for turn in chat.answers():
            before, after = _lines(chat.first(turn), ask=True), _lines(chat.first(turn + 1))
            if len(after) == len(before):
                continue
            prompt, ids = self._encode(before), self._encode(after)
            shared = 0
            while shared < min(len(prompt), len(ids) - 1) and prompt[shared] == ids[shared]:
                shared += 1
            continuations.append(Continuation(document, ids[:shared], ids[shared:]))
        return continuations


def stretches(document: str, tokens: ChatTokens) -> list[Continuation]:
    """Return every run of supervised tokens with all tokens before it.

    The first token of a text is never predicted, and so not counted.
    """
    runs = []
    start = 1
    supervised = tokens.supervised
    while start < len(supervised):
        end = start
        while end < len(supervised) and supervised[end]:
            end += 1
        if end > start:
            runs.append(Continuation(document, tokens.ids[:start], tokens.ids[start:end]))
        start = end + 1
    return runs


@dataclasses.dataclass(frozen=True)
class Question:
    """A multiple-choice question: which of several answers is the conversation's?"""

    chat: Conversation
    choices: list[str]
    target: int


def build_questions(
    conversations: Iterable[Conversation], choices: int, characters: int, seed: int
) -> list[Question]:
    """Return a question per conversation: its last answer among answers of others.

    Answers are truncated to `characters`. The wrong ones are drawn by `seed` and the conversation's
    content, so that questions do not depend on each other's order. Raises InputError when all
    answers are equal.
    """
    ends = [(chat, (chat.answers() or [0])[-1]) for chat in conversations]
    known = [(chat.first(end), chat.messages[end]["content"]) for chat, end in ends if end]
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
        options = [*generator.sample(others, min(choices - 1, len(others))), answer]
        generator.shuffle(options)
        questions.append(Question(before, options, options.index(answer)))
    return questions


def document_digest(chat: Conversation) -> str:
    """Return a short digest of a conversation, the same for every model."""
    turns = [[m["role"], m["content"], *filter(None, [m.get("tool_calls")])] for m in chat.messages]
    text = json.dumps(turns, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _lines(chat: Conversation, *, ask: bool = False) -> str:
    lines = [f"{message['role']}: {message['content']}" for message in chat.messages]
    return "\n".join([*lines, "assistant: "] if ask else lines)
