"""What reaches a terminal, and what a program that reads."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm_inference.chat.terminal import Terminal, escape_controls, replace_invalid


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(text=st.text())
def test_nothing_that_is_shown_steers_a_terminal(text):
    shown = escape_controls(text)
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in shown)
    assert not any(unicodedata.bidirectional(c) in ("RLO", "LRO", "RLI", "PDF") for c in shown)


def test_escape_sequences_of_an_answer_are_spelled():
    screen = Screen()
    Terminal(screen, Screen()).write("a\x1b[2Jb\x9b1mc\rd\ne\u202ef👩‍👧")
    assert screen.getvalue() == r"a\x1b[2Jb\x9b1mc\rd" + "\n" + r"e\u202ef👩‍👧"


def test_a_program_gets_the_answer_as_it_is():
    pipe = io.StringIO()
    Terminal(pipe, Screen()).write("a\x1b[2Jb")
    assert pipe.getvalue() == "a\x1b[2Jb"


def test_notes_are_coloured_on_a_terminal_alone(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen, pipe = Screen(), io.StringIO()
    Terminal(screen, pipe).note("(cut \x1b)")
    assert pipe.getvalue() == "(cut \\x1b)\n"
    Terminal(pipe, screen).note("(cut)")
    assert screen.getvalue() == "\x1b[2m(cut)\x1b[0m\n"


@pytest.mark.parametrize(("typed", "read"), [("aü", "aü"), ("a\udcff", "a\ufffd")])
def test_bytes_that_are_no_text_have_a_sign_in_their_place(typed, read):
    assert replace_invalid(typed) == read
