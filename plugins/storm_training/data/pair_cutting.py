"""Truncating preference pairs that are too long, as TRL does for DPO."""

from __future__ import annotations

from storm_models.chat.renderer import ChatTokens


def cut_pair(
    pair: tuple[ChatTokens, ChatTokens], longest: int, max_prompt_length: int
) -> list[ChatTokens]:
    """Return the pair, cut to at most `longest` tokens a side.

    If a side is longer, both prompts keep their last `max_prompt_length` tokens; if that is not
    enough, both answers keep their first `longest` - `max_prompt_length`. This is TRL's treatment
    of max_length and max_prompt_length, with which Zephyr was trained.
    """
    if max(len(side.ids) for side in pair) <= longest:
        return list(pair)
    shortened = []
    for side in pair:
        first = max(0, _answer_start(side) - max_prompt_length)
        shortened.append(ChatTokens(side.ids[first:], side.supervised[first:]))
    if max(len(side.ids) for side in shortened) <= longest:
        return shortened
    ends = [_answer_start(side) + longest - max_prompt_length for side in shortened]
    return [
        ChatTokens(side.ids[:end], side.supervised[:end])
        for side, end in zip(shortened, ends, strict=True)
    ]


def _answer_start(side: ChatTokens) -> int:
    """Return the index of the first supervised token, or the length if there is none."""
    return side.supervised.index(True) if True in side.supervised else len(side.ids)
