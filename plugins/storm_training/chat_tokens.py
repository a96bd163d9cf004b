"""Chats as token ids, with the tokens that an assistant wrote marked.

Chat templates seldom mark what the assistant wrote (the stock Llama 3.1, Qwen and Gemma templates
do not), so the spans are worked out from what the template renders.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from storm_exp import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = dict[str, str]
Span = tuple[int, int]

_DATE = datetime.datetime(2024, 7, 26)
"""Templates that print a date (Llama 3) get this one: a payload holds no day of its making."""


class UnusableChat(Exception):
    """A chat that the template cannot render, or in which the assistant's words are not found."""


@dataclasses.dataclass(frozen=True)
class ChatTokens:
    """One chat as the model sees it."""

    ids: list[int]
    """Token ids, with exactly one BOS where the tokenizer has one."""
    supervised: list[bool]
    """True for every token of an assistant's turn, the token that ends the turn included."""


class ChatTokenizer:
    """Renders and tokenises chats with a tokenizer's own chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Raises InputError for a tokenizer without chat template or without character offsets."""
        if not tokenizer.chat_template:
            raise InputError("the tokenizer has no chat template")
        if not tokenizer.is_fast:
            raise InputError("the tokenizer does not tell where its tokens lie (no tokenizer.json)")
        self._tokenizer = tokenizer
        self._specials = [
            token.content for token in tokenizer.added_tokens_decoder.values() if token.special
        ]
        self._bos: int | None = tokenizer.bos_token_id
        first = tokenizer("a")["input_ids"][:1]
        self._adds_bos = self._bos is not None and first == [self._bos]

    def encode(
        self, chats: Sequence[Sequence[Message]], firsts: Sequence[int] | None = None
    ) -> list[ChatTokens | UnusableChat]:
        """Return the tokens of each chat, or why it cannot be used, in order.

        Turns before a chat's number in `firsts` are not supervised, whoever speaks.
        """
        found: list[tuple[str, list[Span]] | UnusableChat] = []
        for chat, first in zip(chats, firsts or [0] * len(chats), strict=True):
            try:
                found.append(self.spans(chat, first))
            except UnusableChat as reason:
                found.append(reason)
        texts = [entry[0] for entry in found if not isinstance(entry, UnusableChat)]
        if not texts:
            return [entry for entry in found if isinstance(entry, UnusableChat)]
        batch = self._tokenizer(
            texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        encoded = iter(zip(batch["input_ids"], batch["offset_mapping"], strict=True))
        return [
            entry if isinstance(entry, UnusableChat) else self._mark(entry[1], *next(encoded))
            for entry in found
        ]

    def spans(self, chat: Sequence[Message], first: int = 0) -> tuple[str, list[Span]]:
        """Return the rendered text and the character spans of the assistant's turns from `first`.

        A span runs from the first character of the content through the token that ends the
        turn. Contents are found by rendering the chat with marks in their place; where a
        template treats contents specially, by rendering the chat up to each turn. Raises
        UnusableChat.
        """
        text = self._render(chat)
        turns = [
            index
            for index, message in enumerate(chat)
            if index >= first and message["role"] == "assistant"
        ]
        spans = self._spans_by_marks(chat, turns, text)
        if spans is None:
            spans = [self._span_by_prefix(chat, turn, text) for turn in turns]
        return text, spans

    def _render(self, chat: Sequence[Message], *, prompt: bool = False) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    list(chat),
                    tokenize=False,
                    add_generation_prompt=prompt,
                    date_string=_DATE.strftime("%d %b %Y"),
                    strftime_now=_DATE.strftime,
                )
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise UnusableChat(f"the chat template refuses it ({error})") from error

    def _spans_by_marks(
        self, chat: Sequence[Message], turns: list[int], text: str
    ) -> list[Span] | None:
        sign = "⟦turn"
        while any(sign in message["content"] for message in chat):
            sign += "n"
        marks = {turn: f"{sign}-{turn}⟧" for turn in turns}
        marked = [
            {**message, "content": marks.get(index, message["content"])}
            for index, message in enumerate(chat)
        ]
        rest = self._render(marked)
        spans: list[Span] = []
        position = 0
        for number, turn in enumerate(turns):
            between, mark, rest = rest.partition(marks[turn])
            if not mark or not text.startswith(between, position):
                return None
            position += len(between)
            following = rest.partition(marks[turns[number + 1]])[0] if turn != turns[-1] else rest
            content = self._content_at(text, position, chat[turn]["content"], following)
            if content is None:
                return None
            ending = following
            if turn + 1 < len(chat):
                alone = self._render(marked[: turn + 1]).partition(marks[turn])[2]
                ending = _common_start(following, alone)
            end = position + len(content)
            spans.append((position, end + len(self._end_of_turn(ending))))
            position = end
        return spans if text[position:] == rest else None

    @staticmethod
    def _content_at(text: str, position: int, content: str, following: str) -> str | None:
        for variant in (content, content.strip(), content.lstrip(), content.rstrip()):
            if text.startswith(variant + following, position):
                return variant
        return None

    def _end_of_turn(self, ending: str) -> str:
        """Return `ending` through its first special token; all of it where it has none."""
        ends = [
            ending.index(token) + len(token)
            for token in self._specials
            if token and token in ending
        ]
        return ending[: min(ends)] if ends else ending

    def _span_by_prefix(self, chat: Sequence[Message], turn: int, text: str) -> Span:
        before = self._render(chat[:turn], prompt=True)
        after = self._render(chat[: turn + 1])
        if not after.startswith(before) or not text.startswith(after):
            raise UnusableChat("its chat template changes earlier turns")
        written = after[len(before) :]
        ends = [written.rindex(token) + len(token) for token in self._specials if token in written]
        return len(before), len(before) + (max(ends) if ends else len(written))

    def _mark(self, spans: list[Span], ids: list[int], offsets: list[Any]) -> ChatTokens:
        """Supervise every token that reaches into a span: it may begin with the space before."""
        supervised = [False] * len(ids)
        token = 0
        for start, end in spans:
            while token < len(ids) and offsets[token][1] <= start:
                token += 1
            while token < len(ids) and offsets[token][0] < end:
                supervised[token] = offsets[token][1] > offsets[token][0]
                token += 1
        if self._bos is not None:
            while ids[:2] == [self._bos, self._bos]:
                ids, supervised = ids[1:], supervised[1:]
            if self._adds_bos and ids[:1] != [self._bos]:
                ids, supervised = [self._bos, *ids], [False, *supervised]
        return ChatTokens(ids, supervised)


def _common_start(one: str, other: str) -> str:
    for index, (first, second) in enumerate(zip(one, other, strict=False)):
        if first != second:
            return one[:index]
    return min(one, other, key=len)
