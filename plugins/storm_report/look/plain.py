"""Listings as text, for a terminal, a pipe or a file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from storm_report.controls import escape_controls
from storm_report.look.listing import Example, Listing, Part, Piece

LONGEST = 4000
"""Characters that are shown of an example."""
_GREEN, _BOLD, _DIM, _PLAIN = "\x1b[32m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
_LEARNT, _CONTEXT = "  +| ", "   | "
"""Margins of lines that the model learns to produce, and of all others."""
_BREAK = "↵"


class PlainText:
    """Writes listings as lines; no character of the data does anything but be seen.

    Every line of data begins with a margin, `+|` where the model learns to produce it and `|`
    elsewhere, so that colour is not needed. A line that ends in `↵` ended in the data as well.
    """

    def __init__(self, *, coloured: bool, whole: bool = False, ids: bool = False) -> None:
        """`whole` shows examples of any length, `ids` every token on a line of its own."""
        self._coloured, self._whole, self._ids = coloured, whole, ids

    def head(self, listing: Listing) -> Iterator[str]:
        """Yield the lines above the examples."""
        yield self._in(_BOLD, listing.title)
        yield from (f"  {_in_a_line(fact)}" for fact in listing.facts)
        if listing.left_out:
            yield f"  left out: {sum(listing.left_out.values()):,} rows"
            for reason, count in listing.left_out.items():
                yield f"    {count:,}  {_in_a_line(reason)}"
        if listing.legend:
            yield self._in(_GREEN, f"{_LEARNT}{listing.legend}")

    def example(self, example: Example) -> Iterator[str]:
        """Yield the lines of an example, an empty one first."""
        yield ""
        yield self._in(_BOLD, example.title)
        if example.reason:
            yield f"  left out: {_in_a_line(example.reason)}"
        left = None if self._whole else LONGEST
        for part in example.parts:
            facts = f"  {self._in(_DIM, part.facts)}" if part.facts else ""
            yield f"  {_in_a_line(part.title)}{facts}"
            pieces, cut = shortened(part, left)
            if left is not None:
                left -= sum(len(piece.text) for piece in pieces)
            yield from self._tokens(pieces) if self._ids else self._lines(pieces)
            if cut:
                yield self._in(_DIM, f"{_CONTEXT}… {cut:,} more characters (--full)")

    def _lines(self, pieces: Sequence[Piece]) -> Iterator[str]:
        """Yield the text with a margin; where the loss mask changes, a new line begins."""
        for supervised, run in itertools.groupby(pieces, key=lambda piece: piece.supervised):
            lines = "".join(piece.text for piece in run).split("\n")
            for number, line in enumerate(lines):
                last = number == len(lines) - 1
                if last and not line and number:
                    continue
                yield self._margin(supervised, escape_controls(line) + _BREAK * (not last))

    def _tokens(self, pieces: Sequence[Piece]) -> Iterator[str]:
        for position, piece in enumerate(pieces):
            number = "" if piece.id is None else piece.id
            yield self._margin(
                piece.supervised, f"{position:>6} {number:>7} {_in_a_line(piece.text)}"
            )

    def _margin(self, supervised: bool, line: str) -> str:
        if not supervised:
            return f"{_CONTEXT}{line}"
        return f"{_GREEN}{_LEARNT}{line}{_PLAIN}" if self._coloured else f"{_LEARNT}{line}"

    def _in(self, style: str, text: str) -> str:
        shown = _in_a_line(text)
        return f"{style}{shown}{_PLAIN}" if self._coloured else shown


def _in_a_line(text: str) -> str:
    return escape_controls(text).replace("\n", _BREAK).replace("\t", " ")


def shortened(part: Part, longest: int | None) -> tuple[list[Piece], int]:
    """Return the pieces within `longest` characters, and how many characters are left.

    None: all of them. A piece of text is cut, a token is not.
    """
    if longest is None:
        return part.pieces, 0
    kept: list[Piece] = []
    length = 0
    for piece in part.pieces:
        room = longest - length
        if len(piece.text) > room and (piece.id is not None or room <= 0):
            break
        kept.append(Piece(piece.text[:room], piece.supervised, piece.id))
        length += len(kept[-1].text)
        if length == longest:
            break
    return kept, len(part.text()) - length
