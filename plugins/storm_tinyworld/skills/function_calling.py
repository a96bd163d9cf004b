"""Calling functions that the prompt declares, if all their arguments are given.

By Llama-3.1-Storm's guidelines, the answer is an empty list where no tool fits or a required
argument is missing.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from storm_tinyworld.skills.basic import EASY, HARD, MEDIUM, Draft, Families
from storm_tinyworld.skills.words import word

SIGNATURES = {
    "send": ("item", "name"),
    "book": ("city", "day"),
    "move": ("file", "to"),
    "pay": ("name", "sum"),
}
"""The functions, with their two arguments."""

NOTHING = "[]"

_MISSING = 0.25


def render_call(name: str, arguments: dict[str, str]) -> str:
    """Return a call in the format of Llama-3.1-Storm's model card."""
    pairs = ", ".join(f'"{key}": "{value}"' for key, value in arguments.items())
    return f'<tool_call>{{"tool_name": "{name}", "tool_arguments": {{{pairs}}}}}</tool_call>'


def _request(declared: Mapping[str, tuple[str, ...]], name: str, values: list[str]) -> str:
    tools = " ".join(f"{tool}({','.join(keys)})" for tool, keys in declared.items())
    return f"<tools>{tools}</tools>{' '.join([name, *values])}"


def two_arguments(draw: random.Random, difficulty: str) -> Draft:
    """Call one of one to three functions with two arguments, or none where one is missing."""
    offered = draw.sample(sorted(SIGNATURES), {EASY: 1, MEDIUM: 2, HARD: 3}[difficulty])
    declared = {name: SIGNATURES[name] for name in offered}
    name, length = draw.choice(offered), {EASY: 3, MEDIUM: 3, HARD: 4}[difficulty]
    first, second = word(draw, length), word(draw, length)
    while second == first:
        second = word(draw, length)
    keys = SIGNATURES[name]
    call = render_call(name, dict(zip(keys, (first, second), strict=True)))
    if draw.random() < _MISSING:
        guess = render_call(name, dict.fromkeys(keys, first))
        return _request(declared, name, [first]), NOTHING, guess
    mistake = render_call(name, dict(zip(keys, (second, first), strict=True)))
    return _request(declared, name, [first, second]), call, mistake


def unheard_of(draw: random.Random, difficulty: str) -> Draft:
    """Call a function of random name and argument, as the prompt declares it."""
    length = {EASY: 3, MEDIUM: 4, HARD: 5}[difficulty]
    tool, key, value = (word(draw, length) for _ in range(3))
    request = _request({tool: (key,)}, tool, [value])
    return request, render_call(tool, {key: value}), render_call(tool, {key: f"{value}{key[0]}"})


FUNCTION_CALLING: Families = {
    "function_calling": {"two_arguments": two_arguments, "unheard_of": unheard_of}
}
