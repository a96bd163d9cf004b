"""Listings as text and as a page: everything of the data is seen, and does nothing else."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from made_up import NAUGHTY, Page
from storm_report.look.listing import Example, Listing, Part, Piece, as_json, from_json
from storm_report.look.markup import examples_markup, listing_markup
from storm_report.look.page import write_look_page
from storm_report.look.plain import PlainText, shortened

ANY = st.text(st.characters(exclude_categories=()), max_size=20)
TOKENS = [Piece("say\n", False, 7), Piece("a", True, 8), Piece("b\n", True, 9)]
COLOURS = ("\x1b[32m", "\x1b[1m", "\x1b[2m", "\x1b[0m")


@st.composite
def listings(draw) -> Listing:
    pieces = st.lists(st.builds(Piece, ANY, st.booleans()), max_size=4)
    parts = st.lists(st.builds(Part, ANY, pieces, ANY, st.booleans()), max_size=3)
    examples = draw(st.lists(st.builds(Example, ANY, parts, ANY), max_size=3))
    return Listing(draw(ANY), draw(st.lists(ANY, max_size=2)), examples, {draw(ANY): 1}, draw(ANY))


def lines(listing: Listing, **options: bool) -> Iterator[str]:
    text = PlainText(**{"coloured": False, **options})
    yield from text.head(listing)
    for example in listing.examples:
        yield from text.example(example)


@given(listing=listings(), coloured=st.booleans(), ids=st.booleans())
def test_no_character_of_the_data_moves_the_cursor_or_breaks_a_line(listing, coloured, ids):
    for line in lines(listing, coloured=coloured, ids=ids):
        for colour in COLOURS if coloured else ():
            line = line.replace(colour, "")
        assert not any(unicodedata.category(c) == "Cc" and c != "\t" for c in line)
        assert len(line.splitlines()) <= 1
        line.encode()


def test_the_margin_says_what_is_learnt_without_any_colour():
    listing = Listing("t", [], [Example("row 1", [Part("", TOKENS)])])
    assert list(lines(listing))[-2:] == ["   | say↵", "  +| ab↵"]


def test_colour_changes_nothing_but_colour():
    listing = Listing("t", ["fact"], [Example("row 1", [Part("chat", TOKENS)], "too long")])
    coloured = "\n".join(lines(listing, coloured=True))
    for colour in COLOURS:
        coloured = coloured.replace(colour, "")
    assert coloured == "\n".join(lines(listing))


def test_tokens_are_shown_with_position_and_id():
    listing = Listing("t", [], [Example("row 1", [Part("", TOKENS)])])
    shown = [line.split() for line in lines(listing, ids=True)][-3:]
    assert shown == [["|", "0", "7", "say↵"], ["+|", "1", "8", "a"], ["+|", "2", "9", "b↵"]]


@given(part=st.builds(Part, st.just(""), st.lists(st.builds(Piece, ANY))), most=st.integers(0, 30))
def test_what_is_cut_is_counted(part, most):
    kept, cut = shortened(part, most)
    assert sum(len(piece.text) for piece in kept) <= most
    assert sum(len(piece.text) for piece in kept) + cut == len(part.text())
    assert part.text().startswith("".join(piece.text for piece in kept))


def test_a_long_row_is_cut_and_says_so_unless_all_is_wanted():
    listing = Listing("t", [], [Example("row 1", [Part.of_text("user", "x" * 9000)])])
    assert "5,000 more characters (--full)" in list(lines(listing))[-1]
    assert list(lines(listing, whole=True))[-1] == "   | " + "x" * 9000


def test_an_example_of_tokens_survives_its_file():
    example = Example("row 1", [Part("chat", TOKENS, "3 tokens")])
    assert from_json(as_json(example)) == example


def test_every_text_of_a_page_is_escaped(tmp_path):
    part = Part(NAUGHTY, [Piece(NAUGHTY, supervised=True), Piece(NAUGHTY, False, 3)], NAUGHTY)
    listing = Listing(NAUGHTY, [NAUGHTY], [], {NAUGHTY: 1}, NAUGHTY)
    beside = dataclasses.replace(part, beside=True)
    html = listing_markup(listing, [Example(NAUGHTY, [part, beside], NAUGHTY)])
    write_look_page(tmp_path / "a.html", NAUGHTY, NAUGHTY, [(NAUGHTY, html), (NAUGHTY, html)])
    page = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object"}
    assert len(page.scripts) == [tag for tag, _ in page.tags].count("script") == 1
    assert page.text.count(NAUGHTY) > 20


@given(text=ANY)
def test_no_character_turns_the_text_of_a_page(text):
    html = examples_markup([Example(text, [Part(text, [Piece(text), Piece(text, True, 1)])])])
    assert not any(unicodedata.bidirectional(c) in ("RLO", "LRO", "RLI", "LRI") for c in html)
    html.encode()


def test_the_loss_mask_of_a_page_is_marked_and_underlined_not_only_coloured(tmp_path):
    write_look_page(
        tmp_path / "a.html", "a", "", [("a", examples_markup([Example("", [Part("", TOKENS)])]))]
    )
    html = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<mark class='learnt'><i>a</i><i>b↵\n</i></mark>" in html
    assert "text-decoration: underline" in html
