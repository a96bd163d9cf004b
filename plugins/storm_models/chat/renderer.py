"""Rendering of chats: the one place where they become text and token ids."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from storm_exp import InputError
from storm_models.chat.control_tokens import ControlTokens
from storm_models.chat.conversation import Conversation
from storm_models.chat.settings import ARGUMENTS, DATE
from storm_models.chat.spans import Rendered, Span, render_spans
from storm_models.chat.template import Chat, Template, UnusableChat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBE = Conversation(
    [{"role": "user", "content": "question"}, {"role": "assistant", "content": "answer"}]
)


@dataclasses.dataclass(frozen=True)
class ChatTokens:
    """One chat as the model sees it."""

    ids: list[int]
    """Token ids, with exactly one BOS if the tokenizer has one."""
    supervised: list[bool]
    """True for every token of an assistant's turn, the token that ends the turn included."""


class ChatRenderer:
    """Renders chats with one template, one set of arguments and one date, and encodes them.

    A chat is unusable if the template refuses it or leaves out a content, or if its contents hold a
    control token, which would steer the model as if the template had written it.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        arguments: dict[str, Any] | None = None,
        date: str = DATE,
    ) -> None:
        """Use the tokenizer's template; raises InputError without a template or without offsets."""
        if not tokenizer.chat_template:
            raise InputError(
                "the model has no chat template, so chats cannot be rendered: set one for the "
                "model, such as chat.template=chatml"
            )
        if not tokenizer.is_fast:
            raise InputError(
                "the tokenizer gives no character offsets of its tokens (it has no tokenizer.json)"
            )
        self._tokenizer = tokenizer
        context = dict(ARGUMENTS if arguments is None else arguments)
        specials = {name: _plain(value) for name, value in tokenizer.special_tokens_map.items()}
        choices: tuple[list[Any] | None, ...] = (None, [])
        texts = [tokenizer.get_chat_template(tools=tools) for tools in choices]
        self.template = Template(texts[0], context, date, specials)
        self._with_tools = self.template
        if texts[1] != texts[0]:
            self._with_tools = Template(texts[1], context, date, specials)
        self.controls = ControlTokens(tokenizer)
        self.unknown: int | None = tokenizer.unk_token_id
        """The id of the unknown token, if the tokenizer has one."""
        self._bos: int | None = tokenizer.bos_token_id
        self._adds_bos = self._bos is not None and tokenizer("a")["input_ids"][:1] == [self._bos]

    def text(self, chat: Conversation, *, ask: bool = False) -> str:
        """Return a chat as text; with `ask`, up to where the assistant's next answer begins.

        Contents are not checked for control tokens. Raises UnusableChat.
        """
        (text,) = self._render([Chat(chat.messages, chat.tools, ask)])
        if isinstance(text, UnusableChat):
            raise text
        return text

    def encode(
        self, chats: Sequence[Conversation], firsts: Sequence[int] | None = None
    ) -> list[ChatTokens | UnusableChat]:
        """Return the tokens of each chat, or why it cannot be used, in order.

        Every turn of the assistant is supervised, except turns of weight 0 and turns before the
        chat's index in `firsts`, which are context.
        """
        turns = [
            [turn for turn in chat.answers() if turn >= first]
            for chat, first in zip(chats, firsts or [0] * len(chats), strict=True)
        ]
        return self._encode([Chat(chat.messages, chat.tools) for chat in chats], turns)

    def prompts(self, chats: Sequence[Conversation]) -> list[list[int] | UnusableChat]:
        """Return the ids of each chat, ending where the assistant's next answer begins."""
        asked = [Chat(chat.messages, chat.tools, ask=True) for chat in chats]
        encoded = self._encode(asked, [[] for _ in chats])
        return [tokens.ids if isinstance(tokens, ChatTokens) else tokens for tokens in encoded]

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text rendered by `text`, with one BOS."""
        ids = list(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        return self._with_one_bos(ids, [False] * len(ids)).ids

    @functools.cached_property
    def ends(self) -> list[int]:
        """The control tokens that end an answer; none if the template ends it in plain text."""
        (probe,) = self.encode([_PROBE])
        if isinstance(probe, UnusableChat):
            return []
        ending = [
            token
            for token, supervised in zip(probe.ids, probe.supervised, strict=True)
            if supervised
        ][-1:]
        return [token for token in ending if token in self.controls.ids]

    def _encode(
        self, chats: Sequence[Chat], turns: list[list[int]]
    ) -> list[ChatTokens | UnusableChat]:
        rendered = self._rendered(chats, turns)
        good = [entry for entry in rendered if isinstance(entry, Rendered)]
        encoded = iter(self._ids([entry.text for entry in good], spans=True))
        neutral_ids = iter(self._ids([entry.neutral or "" for entry in good]))
        results: list[ChatTokens | UnusableChat] = []
        for entry in rendered:
            if isinstance(entry, UnusableChat):
                results.append(entry)
                continue
            (ids, offsets), (neutral_tokens, _) = next(encoded), next(neutral_ids)
            if entry.neutral is not None and self.controls.count(ids) != self.controls.count(
                neutral_tokens
            ):
                results.append(UnusableChat("its contents make or break control tokens"))
                continue
            results.append(self._with_one_bos(ids, _mark(entry.spans, offsets)))
        return results

    def _rendered(
        self, chats: Sequence[Chat], turns: list[list[int]]
    ) -> list[Rendered | UnusableChat]:
        results: list[Rendered | UnusableChat | None] = [None] * len(chats)
        for index, chat in enumerate(chats):
            if not chat.messages:
                results[index] = UnusableChat("it is empty")
                continue
            try:
                self.controls.check([chat.messages, chat.tools])
            except UnusableChat as reason:
                results[index] = reason
        for template in {id(t): t for t in (self.template, self._with_tools)}.values():
            indices = [
                index
                for index, chat in enumerate(chats)
                if results[index] is None and self._template(chat) is template
            ]
            entries = render_spans(
                template,
                [chats[index] for index in indices],
                [turns[index] for index in indices],
                list(self.controls.tokens),
            )
            for index, entry in zip(indices, entries, strict=True):
                results[index] = entry
        return [entry for entry in results if entry is not None]

    def _template(self, chat: Chat) -> Template:
        return self.template if chat.tools is None else self._with_tools

    def _render(self, chats: Sequence[Chat]) -> list[str | UnusableChat]:
        return [
            self._template(chat).render([chat])[0] if chat.messages else UnusableChat("it is empty")
            for chat in chats
        ]

    def _ids(self, texts: list[str], spans: bool = False) -> Iterable[tuple[list[int], list[Span]]]:
        if not texts:
            return []
        batch = self._tokenizer(
            texts, add_special_tokens=False, return_offsets_mapping=spans, verbose=False
        )
        ids: list[list[int]] = batch["input_ids"]
        return zip(ids, batch["offset_mapping"] if spans else [[]] * len(ids), strict=True)

    def _with_one_bos(self, ids: list[int], supervised: list[bool]) -> ChatTokens:
        if self._bos is not None:
            while ids[:2] == [self._bos, self._bos]:
                ids, supervised = ids[1:], supervised[1:]
            if self._adds_bos and ids[:1] != [self._bos]:
                ids, supervised = [self._bos, *ids], [False, *supervised]
        return ChatTokens(ids, supervised)


def _mark(spans: list[Span], offsets: list[Span]) -> list[bool]:
    """Supervise every token that overlaps a span: it may begin with the space before it."""
    supervised = [False] * len(offsets)
    token = 0
    for start, end in spans:
        while token < len(offsets) and offsets[token][1] <= start:
            token += 1
        while token < len(offsets) and offsets[token][0] < end:
            supervised[token] = offsets[token][1] > offsets[token][0]
            token += 1
    return supervised


def _plain(value: Any) -> Any:
    """Return a special token, or several, as text."""
    return [str(item) for item in value] if isinstance(value, list) else str(value)
