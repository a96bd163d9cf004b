"""Which characters of a rendered chat an assistant wrote.

Chat templates seldom mark what the assistant wrote (the stock Llama 3.1, Qwen and Gemma templates
do not), so the spans are derived from three renderings, however many turns there are: the chat, the
chat with marks in place of its contents, and the marked chat up to an answer.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from storm_models.chat.marking import ContentSpan, Marking, common_start, first_end
from storm_models.chat.template import Chat, Template, UnusableChat

Span = tuple[int, int]

_MOST_PREFIXES = 24
"""The most turns that are located by rendering the chat up to each of them."""


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A rendered chat, with the spans to train on."""

    text: str
    spans: list[Span]
    """Characters of the turns to train on, from a turn's content through the token that ends it."""
    neutral: str | None
    """The rendering with marks as contents: other differences in control tokens come from the
    contents. None if the template refuses it."""


def render_spans(
    template: Template, chats: Sequence[Chat], turns: Sequence[list[int]], controls: Sequence[str]
) -> list[Rendered | UnusableChat]:
    """Return the text of each chat and the spans of its `turns`, in order.

    `controls` are the tokenizer's control tokens; usually one of them ends a turn.
    """
    markings = [Marking(chat) for chat in chats]
    cuts = [_ending_turn(chat, wanted) for chat, wanted in zip(chats, turns, strict=True)]
    requests: list[Chat] = []
    for chat, marking, cut in zip(chats, markings, cuts, strict=True):
        requests += [chat, marking.chat]
        if cut + 1 < len(chat.messages):
            requests.append(marking.first(cut + 1))
    texts = iter(template.render(requests))
    results: list[Rendered | UnusableChat] = []
    for chat, marking, cut, wanted in zip(chats, markings, cuts, turns, strict=True):
        text, marked = next(texts), next(texts)
        cut_text = next(texts) if cut + 1 < len(chat.messages) else marked
        try:
            results.append(
                _spans(template, chat, marking, wanted, controls, text, marked, cut_text)
            )
        except UnusableChat as reason:
            results.append(reason)
    return results


def _ending_turn(chat: Chat, turns: list[int]) -> int:
    """Return the turn that shows how turns end: the last without tool calls, if any."""
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
    contents = marking.contents(marked, text)
    spans = None
    if contents is not None and not isinstance(cut, UnusableChat):
        ending = marking.after_last(cut)
        spans = _spans_by_marks(chat, turns, contents, ending, controls, text)
    if spans is None:
        spans = _spans_by_prefix(template, chat, turns, controls, text)
    if contents is None:
        _check_whole(chat, turns, text)
    return Rendered(text, spans, marked)


def _check_whole(chat: Chat, turns: list[int], text: str) -> None:
    """Raise UnusableChat if a template leaves out a part of a prompt or of a turn to train on.

    Earlier answers that are context may lose their thinking blocks, as they do at inference.
    """
    for number, message in enumerate(chat.messages):
        context = message["role"] == "assistant" and number not in turns
        if not context and not _holds(text, message["content"]):
            raise UnusableChat(
                f"the chat template leaves out or changes a part of its {message['role']} turn"
            )


def _holds(text: str, content: str) -> bool:
    """Return whether a text contains the content, plain or as JSON, ignoring spaces and case."""
    ways = (content, *(json.dumps(content, ensure_ascii=way)[1:-1] for way in (False, True)))
    squeezed = _squeezed(text)
    return any(_squeezed(way) in squeezed for way in ways)


def _squeezed(text: str) -> str:
    return "".join(text.split()).casefold()


def _spans_by_marks(
    chat: Chat,
    turns: list[int],
    contents: list[ContentSpan],
    ending: str,
    controls: Sequence[str],
    text: str,
) -> list[Span] | None:
    """Return the spans, None if a turn's beginning or end cannot be determined.

    `ending` is what follows a turn's last content when it is the last turn of the chat.
    """
    by_message: dict[int, list[int]] = {}
    for number, content in enumerate(contents):
        by_message.setdefault(content.message, []).append(number)
    header = _header(chat, contents, by_message, controls, text)
    spans = []
    for turn in turns:
        numbers = by_message.get(turn)
        if not numbers or numbers != list(range(numbers[0], numbers[-1] + 1)):
            return None
        first, last = contents[numbers[0]], contents[numbers[-1]]
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
            before = contents[numbers[0] - 1].end if numbers[0] else 0
            start = _after(header, text, before, first.start)
        if end < 0 or start < 0:
            return None
        spans.append((start, last.end + end + len(stop)))
    return spans


def _after(header: str, text: str, start: int, end: int) -> int:
    """Return the end of the last `header` between two positions, -1 if there is none.

    A template may write the line break before an answer together with the answer.
    """
    for variant in (header, header.rstrip()):
        position = text.rfind(variant, start, end) if variant else -1
        if position >= 0:
            return position + len(variant)
    return -1


def _header(
    chat: Chat,
    contents: list[ContentSpan],
    by_message: dict[int, list[int]],
    controls: Sequence[str],
    text: str,
) -> str:
    """Return the text before an assistant's content, from the last control token on."""
    for turn, message in enumerate(chat.messages):
        if message["role"] == "assistant" and message["content"] and turn in by_message:
            number = by_message[turn][0]
            before = text[contents[number - 1].end if number else 0 : contents[number].start]
            start = max((before.rfind(token) for token in controls), default=-1)
            return before[start:] if start >= 0 else ""
    return ""


def _last_control(text: str, controls: Sequence[str]) -> str:
    ends = [(text.rfind(token) + len(token), token) for token in controls if token in text]
    return max(ends)[1] if ends else ""


def _spans_by_prefix(
    template: Template, chat: Chat, turns: list[int], controls: Sequence[str], text: str
) -> list[Span]:
    """Return the spans, found by rendering the chat up to each turn, without and with the turn."""
    if len(turns) > _MOST_PREFIXES:
        raise UnusableChat(
            "the chat template changes contents, and the chat has more than "
            f"{_MOST_PREFIXES} answers"
        )
    requests = []
    for turn in turns:
        requests.append(Chat(chat.messages[:turn], chat.tools))
        requests.append(Chat(chat.messages[:turn], chat.tools, ask=True))
        requests.append(Chat(chat.messages[: turn + 1], chat.tools))
    texts = []
    for rendered in template.render(requests):
        if isinstance(rendered, UnusableChat):
            raise rendered
        texts.append(rendered)
    spans = []
    for without, prompt, after in zip(texts[::3], texts[1::3], texts[2::3], strict=True):
        start = len(common_start(prompt, after))
        # A template that opens an answer otherwise than it asks for one: Qwen3's empty thoughts.
        opened = start == len(prompt) or (prompt.startswith(without) and start > len(without))
        if not opened or not text.startswith(after):
            raise UnusableChat("its chat template changes earlier turns")
        answer = after[start:]
        ends = [answer.rindex(token) + len(token) for token in controls if token in answer]
        spans.append((start, start + (max(ends) if ends else len(answer))))
    return spans
