"""A listing of examples: what a view gives, for the terminal, for a page and for the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Self


@dataclasses.dataclass(frozen=True)
class Piece:
    """A piece of text: a token, or a whole message."""

    text: str
    supervised: bool = False
    """Whether the model learns to produce it: the loss mask."""
    id: int | None = None
    """The token's id; None for text that is not tokenised."""


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of an example: a message, a document of a packed row, or a model's answer."""

    title: str
    pieces: list[Piece]
    facts: str = ""
    """What is known of it, such as `tokens 0 to 141`."""
    beside: bool = False
    """Whether it is shown beside its neighbours of this kind, to be compared."""

    @classmethod
    def of_text(cls, title: str, text: str, facts: str = "", *, beside: bool = False) -> Self:
        """Return a part that is one piece of text."""
        return cls(title, [Piece(text)], facts, beside)

    def text(self) -> str:
        """Return the whole text."""
        return "".join(piece.text for piece in self.pieces)


@dataclasses.dataclass(frozen=True)
class Example:
    """A row of a data set, a row of packed documents, or a question with all models' answers."""

    title: str
    parts: list[Part]
    reason: str = ""
    """Why it is left out; empty if it is used."""

    def contains(self, text: str) -> bool:
        """Return whether its title, its reason or a part has `text`, whatever the case."""
        own = (self.title, self.reason, *(part.text() for part in self.parts))
        return any(text.casefold() in each.casefold() for each in own)


@dataclasses.dataclass
class Listing:
    """Examples of one thing that was looked at, and what is known of it as a whole."""

    title: str
    facts: list[str]
    examples: Iterable[Example]
    """May be read once, and only as far as they are shown."""
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)
    """{reason: number of rows that are left out}, where it is known."""
    legend: str = ""
    """What it means that a piece is supervised; empty if no piece can be."""


def as_json(example: Example) -> dict[str, Any]:
    """Return an example of tokens as JSON values, which `from_json` reads back.

    The tokens of a part are lists of `ids` and `texts`, and the loss mask a string of 0 and 1.
    """
    parts = [
        {
            "title": part.title,
            "facts": part.facts,
            "ids": [piece.id for piece in part.pieces],
            "texts": [piece.text for piece in part.pieces],
            "supervised": "".join(str(int(piece.supervised)) for piece in part.pieces),
        }
        for part in example.parts
    ]
    return {"title": example.title, "parts": parts}


def from_json(values: dict[str, Any]) -> Example:
    """Return the example that `as_json` wrote."""
    parts = [
        Part(
            part["title"],
            [
                Piece(text, bit == "1", token)
                for text, bit, token in zip(
                    part["texts"], part["supervised"], part["ids"], strict=True
                )
            ],
            part["facts"],
        )
        for part in values["parts"]
    ]
    return Example(values["title"], parts)
