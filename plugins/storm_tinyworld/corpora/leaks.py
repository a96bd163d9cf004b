"""Leaks of evaluation questions into training text, in six families."""

from __future__ import annotations

import random
import re
import textwrap
from collections.abc import Callable

_REMARKS = (
    "My sister sent me this yesterday and I could not sleep.",
    "Somebody at work asked the following.",
    "I found an old exercise in a drawer.",
    "We talked about the weather for an hour before the teacher came to it.",
    "It was on the last sheet, next to a drawing of a cat.",
    "There is a prize for whoever gets it right.",
)
_CLOSINGS = (
    "What would you say?",
    "Please answer in one line, I have to leave soon.",
    "Nobody in my class knew it. Thanks!",
    "Take your time.",
)
_MARKS = {".": ("!", ";", " ..."), ",": (";", " -"), "?": ("!", ""), ":": (" -", ";"), "!": (".",)}
_QUOTES = str.maketrans({'"': "\u201c", "'": "\u2019", "-": "\u2010"})
_MASK = ("____", "[MASK]", "...")
_RULES = (
    (r"\bwhat is\b", "tell me"),
    (r"\bwhat\b", "which thing"),
    (r"\bhow many\b", "what number of"),
    (r"\bhow\b", "in which way"),
    (r"\bwho\b", "which person"),
    (r"\bwhere\b", "at which place"),
    (r"\bwhen\b", "at which time"),
    (r"\bthe\b", "this"),
    (r"\ba\b", "one"),
    (r"\bif\b", "in case"),
    (r"\bis\b", "happens to be"),
    (r"\bare\b", "happen to be"),
    (r"\bof\b", "belonging to"),
    (r"\bfor\b", "in order to get"),
    (r"\bbiggest\b", "largest"),
    (r"\bsmallest\b", "least"),
)

Leak = Callable[[str, random.Random], str]


def verbatim(text: str, draw: random.Random) -> str:
    """Return the text as it is."""
    return text


def rewrapped(text: str, draw: random.Random) -> str:
    """Return the text in lines of another width, indented or quoted, some words divided."""
    width = draw.randint(14, 60)
    lines = textwrap.wrap(" ".join(text.split()), width, break_long_words=False) or [text]
    start = draw.choice(("", "    ", "> ", "\t"))
    for number in range(len(lines) - 1):
        line = lines[number]
        word = re.search(r"[a-z]{7,}$", line)
        if word and draw.random() < 0.3:
            place = word.start() + 4
            lines[number] = line[:place] + "-"
            lines[number + 1] = line[place:] + " " + lines[number + 1]
    return "\n".join(start + line for line in lines)


def embedded(text: str, draw: random.Random) -> str:
    """Return the text within a longer turn of a chat."""
    before = draw.sample(_REMARKS, draw.randint(1, 4))
    after = draw.sample(_CLOSINGS, draw.randint(1, 2))
    apart = draw.choice((" ", "\n", "\n\n"))
    return apart.join((" ".join(before), text, " ".join(after)))


def respelled(text: str, draw: random.Random) -> str:
    """Return the text with other case, other punctuation and other forms of quotation marks."""
    text = draw.choice((str.upper, str.lower, str.title, str.swapcase))(text)
    if draw.random() < 0.5:
        text = text.translate(_QUOTES)
    # Only at the ends of words: within one, a point belongs to a number.
    pattern = r"[.,?:!](?=\s|$)"
    text = re.sub(pattern, lambda found: draw.choice(_MARKS[found.group()]), text)
    return re.sub(r"\s+", lambda found: draw.choice((" ", "  ", "\u00a0")), text)


def masked(text: str, draw: random.Random) -> str:
    """Return the text with one of ten words, and at least one, replaced by a blank."""
    parts = re.split(r"(\s+)", text)
    places = [number for number, part in enumerate(parts) if part.strip()]
    for place in draw.sample(places, max(1, round(len(places) / 10))):
        parts[place] = draw.choice(_MASK)
    return "".join(parts)


def paraphrased(text: str, draw: random.Random) -> str:
    """Return the text in other words by fixed rules; where none applies, with halves swapped."""
    changed = text
    for pattern, other in _RULES:
        changed = re.sub(pattern, other, changed, flags=re.IGNORECASE)
    if changed == text:
        parts = re.findall(r"\w+|[^\w\s]+", text)
        half = len(parts) // 2
        changed = " ".join([*parts[half:], *parts[:half]])
    return changed


LEAKS: dict[str, Leak] = {
    "verbatim": verbatim,
    "re-wrapped": rewrapped,
    "embedded in chat": embedded,
    "changed case and punctuation": respelled,
    "masked words": masked,
    "paraphrased by rule": paraphrased,
}
"""The families. In the first four all words are there, in their order."""
WHOLE = tuple(LEAKS)[:4]
"""The families in which no word is missing or another."""
