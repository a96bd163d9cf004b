from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm_data.decontamination.normal_form import Places, joined, words

LETTERS = st.text(st.sampled_from(string.ascii_letters + "äéß"), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Don\u2019t  STOP\u2014now!", "dont stop now"),
        ("the well-\n   known exam-\n> ple", "the wellknown example"),
        ("well-known, 1,000 and 3.5", "wellknown 1000 and 35"),
        ("> a quoted\n> line\n| cell\n# note", "a quoted line cell note"),
        ("\uff26\uff55\uff4c\uff4c \ufb01n caf\u00e9 stra\u00dfe", "full fin cafe strasse"),
        ("soft\u00adly zero\u200bwidth", "softly zerowidth"),
        ("a>b, b>c. 2+2=4", "a b b c 2 + 2 = 4"),
        (">>> x == 1", "x == 1"),
        ("snake_case", "snake case"),
        ("\u65e5\u672c\u8a9e abc", "\u65e5 \u672c \u8a9e abc"),
        (
            "<p>What <b>is</b><br/>R&amp;D? It&#39;s&nbsp;a <a href='x y'>link</a>",
            "what is r d its a link",
        ),
        ("if a<b and c>d: vector<T> &unknown; &", "if a b and c d vector t unknown"),
        ("\u05d4\u05d0\u05dd \u0647\u0644 \u202eabc", "\u05d4\u05d0\u05dd \u0647\u0644 abc"),
        (" \n\t ", ""),
    ],
)
def test_the_normal_form_of(text: str, normal: str) -> None:
    assert words(text) == normal.split()


@given(st.lists(LETTERS, min_size=1, max_size=12), st.data())
def test_case_punctuation_and_white_space_do_not_matter(
    text: list[str], data: st.DataObject
) -> None:
    plain = " ".join(text)
    apart = st.sampled_from([" ", "  ", "\n", "\n> ", ", ", ". ", "; \t", "\u2026 "])
    changed = "".join(
        data.draw(st.sampled_from([str.upper, str.lower, str.title]))(word) + data.draw(apart)
        for word in text
    )
    assert words(changed) == words(plain)
    assert words(unicodedata.normalize("NFD", plain)) == words(plain)


@given(st.text(max_size=60))
def test_the_normal_form_is_its_own(text: str) -> None:
    normal = words(text)
    assert words(" ".join(normal)) == normal


def test_an_excerpt_holds_the_words_as_they_were_written() -> None:
    text = "He said: \u201cThe WELL-known\n> fact, dear!\u201d Thanks."
    start, end = Places(text).excerpt(2, 5)
    assert text[start:end] == "The WELL-known\n> fact"
    assert words(text[start:end]) == words(text)[2:5]


@pytest.mark.parametrize("place", [0, 500, 1499])
def test_an_excerpt_is_found_in_a_long_text(place: int) -> None:
    filler = ["He said: well-\n> known things, 1,000 of them, don't last. "] * 1500
    filler[place] += "Here it IS, at last! "
    text = "".join(filler)
    first = words(text).index("here")
    start, end = Places(text).excerpt(first, first + 5)
    assert text[start:end] == "Here it IS, at last"


def test_an_excerpt_is_found_in_a_long_text_without_spaces() -> None:
    text = "\u304c\u3099\u65e5\u672c\u8a9e" * 3000 + "\u7b54\u3048\u306f" + "\u8a9e\u672c" * 3000
    first = words(text).index("\u7b54")
    places = Places(text)
    start, end = places.excerpt(first, first + 3)
    assert text[start:end] == "\u7b54\u3048\u306f"
    assert len(places.pieces) > 8, "each of which is read to find a place in it"


def test_an_excerpt_of_markup_is_what_was_written() -> None:
    text = "<div class='a b c'>" * 300 + "It&#39;s <b>this</b>&nbsp;text</div> and more"
    first = words(text).index("its")
    start, end = Places(text).excerpt(first, first + 3)
    assert text[start:end] == "It&#39;s <b>this</b>&nbsp;text"


def test_wrapped_text_is_joined_as_it_was() -> None:
    assert joined("> Some exam-\n> ple  of\n> text") == "Some example of text"
