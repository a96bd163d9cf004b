"""Chats as prompts and the answers that continue them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from storm_exp import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Messages = list[dict[str, str]]


@dataclasses.dataclass(frozen=True)
class Continuation:
    """An assistant's turn, after everything that was said before it."""

    document: str
    """Digest of the whole conversation."""
    prompt: str
    answer: str
    """With the end-of-turn token, where the template writes one."""


class ChatRenderer:
    """Writes conversations as the model is to see them."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, chat_template: bool) -> None:
        """Without `chat_template`, turns are lines that begin with their role."""
        self._tokenizer = tokenizer
        self._chat_template = chat_template

    def prompt(self, messages: Messages) -> str:
        """Return the conversation up to where the assistant's answer begins."""
        return self._render(messages, True)

    def continuations(self, messages: Messages) -> list[Continuation]:
        """Return every assistant turn; raises InputError where an answer does not continue.

        White space after the end-of-turn token belongs to the template, not to the answer.
        """
        document, found = document_digest(messages), []
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt = self._render(messages[:index], True)
            whole = self._render(messages[: index + 1], False).rstrip()
            if not whole.startswith(prompt):
                raise InputError(
                    "the chat template writes something else before an answer than it does when "
                    f"it asks for one (…{prompt[-40:]!r}); set apply_chat_template=false"
                )
            if len(whole) > len(prompt):
                found.append(Continuation(document, prompt, whole[len(prompt) :]))
        return found

    def _render(self, messages: Messages, ask: bool) -> str:
        if not self._chat_template:
            lines = [f"{message['role']}: {message['content']}" for message in messages]
            return "\n".join([*lines, "assistant: "] if ask else lines)
        from jinja2 import TemplateError

        try:
            text = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=ask
            )
        except TemplateError as error:
            raise InputError(f"the chat template refuses a conversation: {error}") from error
        return str(text)


@dataclasses.dataclass(frozen=True)
class Question:
    """Which of several answers is the one that was given?"""

    messages: Messages
    choices: list[str]
    target: int


def build_questions(
    conversations: Iterable[Messages], choices: int, characters: int, seed: int
) -> list[Question]:
    """Set the last answer of each conversation against answers of others.

    Answers are cut to `characters`. The wrong ones are drawn by `seed` and the conversation's
    content, so a question is the same whatever else is asked and in whatever order. Raises
    InputError when all answers are alike.
    """
    asked = [(messages, _last_answer(messages)) for messages in conversations]
    known = [(messages[:end], messages[end]["content"]) for messages, end in asked if end]
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


def document_digest(messages: Sequence[dict[str, Any]]) -> str:
    """Return a short name for a conversation, the same for every model."""
    text = json.dumps([[m["role"], m["content"]] for m in messages], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _last_answer(messages: Messages) -> int:
    """Return the index of the last assistant turn, 0 when nothing comes before one."""
    turns = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    return turns[-1] if turns else 0
