"""What reaches a terminal, and what a program that reads."""

from __future__ import annotations

import io

import pytest

from storm_inference.chat.terminal import Terminal, replace_invalid


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


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
