"""The pieces of an answer are its text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm_models.chat.detokenizer import Detokenizer
from storm_models.testing import make_byte_tokenizer

BYTES = make_byte_tokenizer()
"""Every byte is a token."""


def pieces(tokenizer, ids: list[int]) -> list[str]:
    tokens = Detokenizer(tokenizer)
    found = [tokens.add(token) for token in ids]
    return [*found, tokens.rest()]


def test_a_piece_has_whole_characters():
    text = "Grüße, 日本語! 👩‍👩‍👧"
    found = pieces(BYTES, BYTES(text, add_special_tokens=False)["input_ids"])
    assert "".join(found) == text
    assert not any("\ufffd" in piece for piece in found)
    assert [piece for piece in found if piece][:5] == ["G", "r", "ü", "ß", "e"]


def test_an_answer_that_ends_within_a_character_says_so():
    ids = BYTES("aü", add_special_tokens=False)["input_ids"][:-1]
    assert pieces(BYTES, ids) == ["a", "", "\ufffd"]


@given(text=st.text(max_size=40))
def test_the_pieces_are_the_text(text):
    ids = BYTES(text, add_special_tokens=False)["input_ids"]
    assert "".join(pieces(BYTES, ids)) == BYTES.decode(ids, skip_special_tokens=True)
