"""Which characters of a rendered chat an assistant wrote.

Chat templates seldom mark what the assistant wrote (the stock Llama 3.1, Qwen and Gemma templates
do not), so the spans are worked out from what the template renders: the chat, the chat with marks
in place of its contents, and the marked chat up to an answer. That is three renderings, however
many turns there are.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from storm_models.chat.marking import Marking, Place, common_start, first_end
from storm_models.chat.template import Chat, Template, UnusableChat

Span = tuple[int, int]

_MOST_PREFIXES = 24
"""Turns that are looked for by rendering the chat up to each of them."""


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A chat as text."""

    text: str
    spans: list[Span]
    """Characters of the turns that are learnt, from the first that was said through the token that
    ends the turn."""
    neutral: str | None
    """The same with other contents: whatever else differs, the contents did it. None where the
    template refuses it."""


def render_spans(
    template: Template, chats: Sequence[Chat], turns: Sequence[list[int]], controls: Sequence[str]
) -> list[Rendered | UnusableChat]:
    """Return the text of each chat and the spans of the `turns` that are asked for, in order.

    `controls` are the tokenizer's control tokens, one of which ends a turn as a rule.
    """
    markings = [Marking(chat) for chat in chats]
    cuts = [_ending_turn(chat, wanted) for chat, wanted in zip(chats, turns, strict=True)]
    asked: list[Chat] = []
    for chat, marking, cut in zip(chats, markings, cuts, strict=True):
        asked += [chat, marking.chat]
        if cut + 1 < len(chat.messages):
            asked.append(marking.first(cut + 1))
    texts = iter(template.render(asked))
    found: list[Rendered | UnusableChat] = []
    for chat, marking, cut, wanted in zip(chats, markings, cuts, turns, strict=True):
        text, marked = next(texts), next(texts)
        cut_text = next(texts) if cut + 1 < len(chat.messages) else marked
        try:
            found.append(_spans(template, chat, marking, wanted, controls, text, marked, cut_text))
        except UnusableChat as reason:
            found.append(reason)
    return found


def _ending_turn(chat: Chat, turns: list[int]) -> int:
    """Return the turn whose ending shows how turns end: the last that calls nothing, if any."""
    plain = [turn for turn in turns if not chat.messages[turn].get("tool_calls")]
    return (plain or turns or [len(chat.messages) - 1])[-1]


def _spans(
    template: Template,
    chat: Chat,
    marking: Marking,
    turns: list[int],
    controls: Sequence[str],
    text: str | UnusableChat,
    marked: str | UnusableChat,
    cut: str | UnusableChat,
) -> Rendered:
    if isinstance(text, UnusableChat):
        raise text
    if isinstance(marked, UnusableChat):
        return Rendered(text, _spans_by_prefix(template, chat, turns, controls, text), None)
    marking.check_shown(marked)
    places = marking.places(marked, text)
    spans = None
    if places is not None and not isinstance(cut, UnusableChat):
        ending = marking.after_last(cut)
        spans = _spans_by_marks(chat, turns, places, ending, controls, text)
    if spans is None:
        spans = _spans_by_prefix(template, chat, turns, controls, text)
    if places is None:
        _check_whole(chat, turns, text)
    return Rendered(text, spans, marked)


def _check_whole(chat: Chat, turns: list[int], text: str) -> None:
    """Raise UnusableChat where a template shows a part only of what is asked, or learnt.

    Earlier answers that are context may lose their thoughts: so they do when a model is asked.
    """
    for number, message in enumerate(chat.messages):
        context = message["role"] == "assistant" and number not in turns
        if not context and not _holds(text, message["content"]):
            raise UnusableChat(
                f"the chat template leaves out or changes a part of its {message['role']} turn"
            )


def _holds(text: str, content: str) -> bool:
    """Return whether a text has the content, plain or as JSON; white space and case aside."""
    ways = (content, *(json.dumps(content, ensure_ascii=way)[1:-1] for way in (False, True)))
    squeezed = _squeezed(text)
    return any(_squeezed(way) in squeezed for way in ways)


def _squeezed(text: str) -> str:
    return "".join(text.split()).casefold()


def _spans_by_marks(
    chat: Chat,
    turns: list[int],
    places: list[Place],
    ending: str,
    controls: Sequence[str],
    text: str,
) -> list[Span] | None:
    """Return the spans, None where a turn's beginning or end cannot be told.

    `ending` is what follows the last thing that a turn says when nobody speaks after it.
    """
    of: dict[int, list[int]] = {}
    for number, place in enumerate(places):
        of.setdefault(place.message, []).append(number)
    header = _header(chat, places, of, controls, text)
    spans = []
    for turn in turns:
        numbers = of.get(turn)
        if not numbers or numbers != list(range(numbers[0], numbers[-1] + 1)):
            return None
        first, last = places[numbers[0]], places[numbers[-1]]
        calls = bool(chat.messages[turn].get("tool_calls"))
        if not calls:
            if len(numbers) > 1:
                return None
            shared = common_start(last.following, ending)
            spans.append((first.start, last.end + first_end(shared, controls)))
            continue
        stop = _last_control(ending, controls)
        end = last.following.find(stop) if stop else -1
        start = first.start
        if not chat.messages[turn]["content"]:
            before = places[numbers[0] - 1].end if numbers[0] else 0
            start = _after(header, text, before, first.start)
        if end < 0 or start < 0:
            return None
        spans.append((start, last.end + end + len(stop)))
    return spans


def _after(header: str, text: str, start: int, end: int) -> int:
    """Return where the last `header` between two places ends, -1 where there is none.

    A template may write the line break before an answer together with the answer.
    """
    for variant in (header, header.rstrip()):
        place = text.rfind(variant, start, end) if variant else -1
        if place >= 0:
            return place + len(variant)
    return -1


def _header(
    chat: Chat,
    places: list[Place],
    of: dict[int, list[int]],
    controls: Sequence[str],
    text: str,
) -> str:
    """Return what the template writes before an assistant's words, from its last control token."""
    for turn, message in enumerate(chat.messages):
        if message["role"] == "assistant" and message["content"] and turn in of:
            number = of[turn][0]
            before = text[places[number - 1].end if number else 0 : places[number].start]
            place = max((before.rfind(token) for token in controls), default=-1)
            return before[place:] if place >= 0 else ""
    return ""


def _last_control(text: str, controls: Sequence[str]) -> str:
    found = [(text.rfind(token) + len(token), token) for token in controls if token in text]
    return max(found)[1] if found else ""


def _spans_by_prefix(
    template: Template, chat: Chat, turns: list[int], controls: Sequence[str], text: str
) -> list[Span]:
    """Return the spans by rendering the chat up to each turn: before it, asked for it, with it."""
    if len(turns) > _MOST_PREFIXES:
        raise UnusableChat(
            f"the chat template changes what is said, and it has more than {_MOST_PREFIXES} answers"
        )
    asked = []
    for turn in turns:
        asked.append(Chat(chat.messages[:turn], chat.tools))
        asked.append(Chat(chat.messages[:turn], chat.tools, ask=True))
        asked.append(Chat(chat.messages[: turn + 1], chat.tools))
    texts = []
    for rendered in template.render(asked):
        if isinstance(rendered, UnusableChat):
            raise rendered
        texts.append(rendered)
    spans = []
    for said, before, after in zip(texts[::3], texts[1::3], texts[2::3], strict=True):
        start = len(common_start(before, after))
        # A template that opens an answer otherwise than it asks for one: Qwen3's empty thoughts.
        opened = start == len(before) or (before.startswith(said) and start > len(said))
        if not opened or not text.startswith(after):
            raise UnusableChat("its chat template changes earlier turns")
        written = after[start:]
        ends = [written.rindex(token) + len(token) for token in controls if token in written]
        spans.append((start, start + (max(ends) if ends else len(written))))
    return spans
