"""Characters that act on a terminal, or on the direction of writing, instead of being seen."""

from __future__ import annotations

import re

_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters except tab and newline, those for the direction of writing, and halves of
characters, which no output can encode."""


def escape_controls(text: str) -> str:
    """Return a text with its control characters escaped, as in `\\x1b`."""
    return _CONTROLS.sub(lambda match: match.group().encode("unicode_escape").decode(), text)
