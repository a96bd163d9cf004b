"""The normal form of a text: its words, whatever its case, punctuation and line breaks."""

from __future__ import annotations

import re
import unicodedata

_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Japanese, Chinese
    "\U00020000-\U0003ffff"
)
"""Letters of scripts that put no space between words: each counts as a word."""
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+|[+=\u00d7\u00f7]+")
_QUOTING = r"[\s>|#*]*"
"""What may stand between the parts of a word that is divided over two lines of a quotation."""
_HYPHEN = re.compile(f"(?<=[^\\W\\d_])[-\u2010\u2011]{_QUOTING}(?=[^\\W\\d_])")
_DIVIDED = re.compile(f"(?<=[^\\W\\d_])-[ \\t]*\\n{_QUOTING}(?=[^\\W\\d_])")
_QUOTED = re.compile(r"^[ \t]*(?:[>|#*][ \t]*)+", re.MULTILINE)
"""What stands before the lines of a quotation, a table, a comment or a list."""
_APOSTROPHE = re.compile("(?<=[^\\W\\d_])['\u2019\u02bc`](?=[^\\W\\d_])")
_POINT = re.compile(r"(?<=\d)[.,](?=\d)")
_DROPPED = ("Mn", "Cf")
"""Categories of characters without a width of their own: accents, soft hyphens, joiners."""


def words(text: str) -> list[str]:
    """Return the words of a text in their normal form, in order.

    Words are runs of letters and digits, without case, accents and presentation forms (NFKD, case
    folding); the signs + = × ÷ count as words, all other punctuation as nothing. The parts of words
    with a hyphen, at the end of a line or not, or an apostrophe are joined, and so are those of
    numbers with a point or comma.
    """
    return _WORD.findall(folded(text))


def folded(text: str) -> str:
    """Return a text without case and accents, and without punctuation within words."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in decomposed if unicodedata.category(c) not in _DROPPED)
        text = text.casefold()
    else:
        text = text.lower()
    if "-" in text or not text.isascii():
        text = _HYPHEN.sub("", text)
    if "'" in text or "`" in text or not text.isascii():
        text = _APOSTROPHE.sub("", text)
    return _POINT.sub("", text)


def joined(text: str) -> str:
    """Return a text in one line, its words as they are: as it was before it was wrapped."""
    return " ".join(_DIVIDED.sub("", _QUOTED.sub("", text)).split())


def excerpt(text: str, first: int, end: int) -> tuple[int, int]:
    """Return where the words from number `first` up to before `end` stand in a text.

    The normal form has other lengths than the text: the shortest beginnings of the text with
    so many words are looked for.
    """
    start, last = _beginning(text, first + 1) - 1, _beginning(text, end)
    while last < len(text) and text[last].isalnum() and text[last - 1].isalnum():
        last += 1
    return max(start, 0), last


def _beginning(text: str, count: int) -> int:
    """Return the length of the shortest beginning of a text that has so many words."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high) // 2
        if len(words(text[:middle])) < count:
            low = middle + 1
        else:
            high = middle
    return low
