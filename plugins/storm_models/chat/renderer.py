"""How a model is shown a chat: the one place where chats become text and token ids."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from storm_exp import InputError
from storm_models.chat.contents import ControlTokens
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
    """Token ids, with exactly one BOS where the tokenizer has one."""
    supervised: list[bool]
    """True for every token of an assistant's turn, the token that ends the turn included."""


class ChatRenderer:
    """Renders chats with one template, one set of arguments and one date, and encodes them.

    A chat is unusable where the template refuses it, leaves out what it says, or where a control
    token stands in its contents: it would steer the model as if the template had written it.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        arguments: dict[str, Any] | None = None,
        date: str = DATE,
    ) -> None:
        """Take the tokenizer's template; raises InputError without one, or without offsets."""
        if not tokenizer.chat_template:
            raise InputError(
                "the model has no chat template, so chats cannot be rendered: set one where the "
                "model comes from, such as chat.template=chatml"
            )
        if not tokenizer.is_fast:
            raise InputError("the tokenizer does not tell where its tokens lie (no tokenizer.json)")
        self._tokenizer = tokenizer
        given = dict(ARGUMENTS if arguments is None else arguments)
        specials = {name: _plain(value) for name, value in tokenizer.special_tokens_map.items()}
        choices: tuple[list[Any] | None, ...] = (None, [])
        texts = [tokenizer.get_chat_template(tools=tools) for tools in choices]
        self.template = Template(texts[0], given, date, specials)
        self._with_tools = self.template
        if texts[1] != texts[0]:
            self._with_tools = Template(texts[1], given, date, specials)
        self.controls = ControlTokens(tokenizer)
        self.unknown: int | None = tokenizer.unk_token_id
        """What stands for text that the tokenizer has no token for, if anything does."""
        self._bos: int | None = tokenizer.bos_token_id
        self._adds_bos = self._bos is not None and tokenizer("a")["input_ids"][:1] == [self._bos]

    def text(self, chat: Conversation, *, ask: bool = False) -> str:
        """Return a chat as text, with `ask` up to where the assistant's next answer begins.

        Contents are taken as they are. Raises UnusableChat.
        """
        (text,) = self._render([Chat(chat.messages, chat.tools, ask)])
        if isinstance(text, UnusableChat):
            raise text
        return text

    def encode(
        self, chats: Sequence[Conversation], firsts: Sequence[int] | None = None
    ) -> list[ChatTokens | UnusableChat]:
        """Return the tokens of each chat, or why it cannot be used, in order.

        Every turn of the assistant is supervised, except what is only context: turns before a
        chat's number in `firsts`, and turns of weight 0.
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
        return [found.ids if isinstance(found, ChatTokens) else found for found in encoded]

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text that `text` has rendered, with one BOS."""
        ids = list(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        return self._with_one_bos(ids, [False] * len(ids)).ids

    @functools.cached_property
    def ends(self) -> list[int]:
        """Control tokens that end an answer: none where the template lets it end in plain text."""
        (found,) = self.encode([_PROBE])
        if isinstance(found, UnusableChat):
            return []
        last = [token for token, own in zip(found.ids, found.supervised, strict=True) if own][-1:]
        return [token for token in last if token in self.controls.ids]

    def _encode(
        self, chats: Sequence[Chat], turns: list[list[int]]
    ) -> list[ChatTokens | UnusableChat]:
        rendered = self._rendered(chats, turns)
        good = [entry for entry in rendered if isinstance(entry, Rendered)]
        encoded = iter(self._ids([entry.text for entry in good], spans=True))
        neutral = iter(self._ids([entry.neutral or "" for entry in good]))
        found: list[ChatTokens | UnusableChat] = []
        for entry in rendered:
            if isinstance(entry, UnusableChat):
                found.append(entry)
                continue
            (ids, offsets), (others, _) = next(encoded), next(neutral)
            if entry.neutral is not None and self.controls.count(ids) != self.controls.count(
                others
            ):
                found.append(UnusableChat("its contents make or break control tokens"))
                continue
            found.append(self._with_one_bos(ids, _mark(entry.spans, offsets)))
        return found

    def _rendered(
        self, chats: Sequence[Chat], turns: list[list[int]]
    ) -> list[Rendered | UnusableChat]:
        found: list[Rendered | UnusableChat | None] = [None] * len(chats)
        for place, chat in enumerate(chats):
            if not chat.messages:
                found[place] = UnusableChat("it is empty")
                continue
            try:
                self.controls.check([chat.messages, chat.tools])
            except UnusableChat as reason:
                found[place] = reason
        for template in {id(t): t for t in (self.template, self._with_tools)}.values():
            places = [
                place
                for place, chat in enumerate(chats)
                if found[place] is None and self._template(chat) is template
            ]
            entries = render_spans(
                template,
                [chats[place] for place in places],
                [turns[place] for place in places],
                list(self.controls.tokens),
            )
            for place, entry in zip(places, entries, strict=True):
                found[place] = entry
        return [entry for entry in found if entry is not None]

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
    """Supervise every token that reaches into a span: it may begin with the space before."""
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
