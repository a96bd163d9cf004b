"""Cutting pairs that are too long, as DPO is usually trained on them."""

from __future__ import annotations

from storm_models.chat.renderer import ChatTokens


def cut_pair(
    pair: tuple[ChatTokens, ChatTokens], longest: int, longest_prompt: int
) -> list[ChatTokens]:
    """Return a pair of at most `longest` tokens each.

    Where one is longer, both prompts keep their last `longest_prompt` tokens; where that is not
    enough, both answers keep their first `longest` - `longest_prompt`. This is what TRL does with
    max_length and max_prompt_length, on which Zephyr was trained.
    """
    if max(len(side.ids) for side in pair) <= longest:
        return list(pair)
    found = []
    for side in pair:
        start = side.supervised.index(True) if True in side.supervised else len(side.ids)
        first = max(0, start - longest_prompt)
        found.append(ChatTokens(side.ids[first:], side.supervised[first:]))
    if max(len(side.ids) for side in found) <= longest:
        return found
    room = longest - longest_prompt
    ends = [
        (side.supervised.index(True) if True in side.supervised else len(side.ids)) + room
        for side in found
    ]
    return [
        ChatTokens(side.ids[:end], side.supervised[:end])
        for side, end in zip(found, ends, strict=True)
    ]
