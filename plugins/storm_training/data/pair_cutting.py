"""Cutting pairs that are too long, as DPO is usually trained on them."""

from __future__ import annotations

from storm_models.chat.renderer import ChatTokens


def cut_pair(
    pair: tuple[ChatTokens, ChatTokens], longest: int, max_prompt_length: int
) -> list[ChatTokens]:
    """Return a pair of at most `longest` tokens each.

    Where one is longer, both prompts keep their last `max_prompt_length` tokens; where that is not
    enough, both answers keep their first `longest` - `max_prompt_length`. This is what TRL does
    with max_length and max_prompt_length, on which Zephyr was trained.
    """
    if max(len(side.ids) for side in pair) <= longest:
        return list(pair)
    found = []
    for side in pair:
        start = side.supervised.index(True) if True in side.supervised else len(side.ids)
        first = max(0, start - max_prompt_length)
        found.append(ChatTokens(side.ids[first:], side.supervised[first:]))
    if max(len(side.ids) for side in found) <= longest:
        return found
    room = longest - max_prompt_length
    ends = [
        (side.supervised.index(True) if True in side.supervised else len(side.ids)) + room
        for side in found
    ]
    return [
        ChatTokens(side.ids[:end], side.supervised[:end])
        for side, end in zip(found, ends, strict=True)
    ]
