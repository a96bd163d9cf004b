"""The normal form of a text: its words, whatever its case, punctuation and line breaks."""

from __future__ import annotations

import bisect
import html
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
_GAP = re.compile(f"(?<![-\u2010\u2011\\s>|#*])\\s|(?<=[{_UNSPACED}])(?=[{_UNSPACED}])")
"""White space over which no word goes on, and where two letters are words of their own."""
_GOES_ON = re.compile(f"[^\\W_{_UNSPACED}][^\\W_]")
"""Two characters of a word."""
_TAG = re.compile(
    r"</?(?:a|b|i|u|p|br|hr|em|li|ol|ul|dl|dt|dd|td|th|tr|h[1-6]|div|sub|sup|pre|code|span|table"
    r"|tbody|thead|strong|blockquote|font|img)"
    r"(?:\s+[\w:-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>=]+))*\s*/?>",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});")
_NOTHING = "\u200d"
"""A character that is dropped."""
_PIECE = 2000
"""Characters of a piece in which a word is looked for."""
_DROPPED = ("Mn", "Cf")
"""Categories of characters without a width of their own: accents, soft hyphens, joiners."""


def words(text: str) -> list[str]:
    """Return the words of a text in their normal form, in order.

    Words are runs of letters and digits, without case, accents and presentation forms (NFKD, case
    folding), and without HTML's tags and entities; the signs + = × ÷ count as words, all other
    punctuation as nothing. The parts of words with a hyphen, at the end of a line or not, or an
    apostrophe are joined, and so are those of numbers with a point or comma.
    """
    return _WORD.findall(folded(text))


def folded(text: str) -> str:
    """Return a text without case and accents, and without punctuation within words."""
    text = without_markup(text)
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


def without_markup(text: str) -> str:
    """Return a text of the same length with spaces for HTML's tags and characters for entities."""
    if "<" in text:
        text = _TAG.sub(lambda tag: " " * len(tag[0]), text)
    if "&" in text:
        text = _ENTITY.sub(lambda name: html.unescape(name[0]).ljust(len(name[0]), _NOTHING), text)
    return text


def joined(text: str) -> str:
    """Return a text in one line, its words as they are: as it was before it was wrapped."""
    return " ".join(_DIVIDED.sub("", _QUOTED.sub("", text)).split())


class Places:
    """Where the words of a text stand in it: its normal form has other lengths."""

    def __init__(self, text: str) -> None:
        """Count the words of the text's pieces."""
        text = self._text = without_markup(text)
        self.pieces, self._before = [0], [0]
        """Where pieces begin, and the words before each."""
        for gap in _GAP.finditer(text):
            if gap.start() - self.pieces[-1] >= _PIECE:
                piece = text[self.pieces[-1] : gap.start()]
                self._before.append(self._before[-1] + len(words(piece)))
                self.pieces.append(gap.start())

    def excerpt(self, first: int, end: int) -> tuple[int, int]:
        """Return where the words from number `first` up to before `end` begin and end."""
        start, last = self._beginning(first + 1) - 1, self._beginning(end)
        text = self._text
        while _GOES_ON.match(text, max(last - 1, 0)):
            last += 1
        return max(start, 0), last

    def _beginning(self, count: int) -> int:
        """Return the length of the shortest beginning of the text that has so many words."""
        piece = bisect.bisect_left(self._before, count) - 1
        begin, count = self.pieces[piece], count - self._before[piece]
        low, high = begin, [*self.pieces, len(self._text)][piece + 1]
        while low < high:
            middle = (low + high) // 2
            if len(words(self._text[begin:middle])) < count:
                low = middle + 1
            else:
                high = middle
        return low
