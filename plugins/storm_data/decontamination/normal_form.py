"""The normal form of a text: its words, whatever its case, punctuation and line breaks."""

from __future__ import annotations

import bisect
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
_GAP = re.compile("(?<![-\u2010\u2011\\s>|#*])\\s")
"""White space over which no word goes on."""
_PIECE = 2000
"""Characters of a piece in which a word is looked for."""
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


class Places:
    """Where the words of a text stand in it: its normal form has other lengths."""

    def __init__(self, text: str) -> None:
        """Count the words of the text's pieces."""
        self._text = text
        self._begins, self._before = [0], [0]
        for gap in _GAP.finditer(text):
            if gap.start() - self._begins[-1] >= _PIECE:
                piece = text[self._begins[-1] : gap.start()]
                self._before.append(self._before[-1] + len(words(piece)))
                self._begins.append(gap.start())

    def excerpt(self, first: int, end: int) -> tuple[int, int]:
        """Return where the words from number `first` up to before `end` begin and end."""
        start, last = self._beginning(first + 1) - 1, self._beginning(end)
        text = self._text
        while last < len(text) and text[last].isalnum() and text[last - 1].isalnum():
            last += 1
        return max(start, 0), last

    def _beginning(self, count: int) -> int:
        """Return the length of the shortest beginning of the text that has so many words."""
        piece = bisect.bisect_left(self._before, count) - 1
        begin, count = self._begins[piece], count - self._before[piece]
        low, high = begin, [*self._begins, len(self._text)][piece + 1]
        while low < high:
            middle = (low + high) // 2
            if len(words(self._text[begin:middle])) < count:
                low = middle + 1
            else:
                high = middle
        return low
