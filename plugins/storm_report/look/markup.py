"""Listings as HTML, for the report and for pages."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from storm_report.controls import escape_controls
from storm_report.look.listing import Example, Listing, Part, Piece
from storm_report.look.plain import LONGEST, shortened
from storm_report.markup import table

LEGEND = Markup("<p class='note'><mark class='learnt'>{}</mark></p>")


def listing_markup(
    listing: Listing, examples: Iterable[Example], longest: int | None = LONGEST
) -> Markup:
    """Return what is known of a listing, and the given examples of it.

    `longest` limits the characters of an example; None does not.
    """
    facts = Markup().join(
        Markup("<p class='note'>{}</p>").format(escape_controls(fact)) for fact in listing.facts
    )
    reasons = [
        [escape_controls(reason), f"{count:,}"] for reason, count in listing.left_out.items()
    ]
    html = facts + (table(["left out", "rows"], reasons) if reasons else Markup())
    html += LEGEND.format(listing.legend) if listing.legend else Markup()
    return html + examples_markup(examples, longest)


def examples_markup(examples: Iterable[Example], longest: int | None = LONGEST) -> Markup:
    """Return examples, each in a box."""
    return Markup().join(_example(example, longest) for example in examples)


def _example(example: Example, longest: int | None) -> Markup:
    reason = Markup("<p class='problem'>left out: {}</p>").format(escape_controls(example.reason))
    parts, left = Markup(), longest
    for beside, group in itertools.groupby(example.parts, key=lambda part: part.beside):
        shown = Markup()
        for part in group:
            pieces, cut = shortened(part, left)
            if left is not None:
                left -= sum(len(piece.text) for piece in pieces)
            shown += _part(part, pieces, cut)
        parts += Markup("<div class='beside'>{}</div>").format(shown) if beside else shown
    box = Markup("<div class='example seen{}'><p class='head'>{}</p>{}{}</div>\n")
    return box.format(
        " rejected" if example.reason else "",
        escape_controls(example.title),
        reason if example.reason else "",
        parts,
    )


def _part(part: Part, pieces: Sequence[Piece], cut: int) -> Markup:
    head = Markup("<p class='role'>{} <span>{}</span></p>")
    more = Markup("<p class='note'>… {} more characters</p>").format(f"{cut:,}")
    text = Markup().join(
        Markup("<mark class='learnt'>{}</mark>").format(_run(run)) if learnt else _run(run)
        for learnt, run in (
            (learnt, list(group))
            for learnt, group in itertools.groupby(pieces, key=lambda piece: piece.supervised)
        )
    )
    return Markup("<div class='part'>{}<pre>{}</pre>{}</div>").format(
        head.format(escape_controls(part.title), escape_controls(part.facts)),
        text,
        more if cut else "",
    )


def _run(pieces: Sequence[Piece]) -> Markup:
    """Return pieces with the same mask; the borders of tokens are marked."""
    if len(pieces) == 1 and pieces[0].id is None:
        return Markup("{}").format(escape_controls(pieces[0].text))
    shown = (escape_controls(piece.text).replace("\n", "↵\n") for piece in pieces)
    return Markup().join(Markup("<i>{}</i>").format(text) for text in shown)
