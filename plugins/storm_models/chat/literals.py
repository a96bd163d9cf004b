"""Values written as text by a model: JSON, Python literals, or what lies between the two."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any

LONGEST = 1 << 16
"""Characters of a text that is read. An honest call has a few hundred."""
DEEPEST = 32
"""Lists and objects within each other."""

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string> "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' )
    | (?P<number> [+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]) )
    | (?P<word> [A-Za-z]+ )
    | (?P<mark> [][(){},:] )
    )""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_ENDS = {"[": "]", "(": ")", "{": "}"}


class UnreadableLiteral(ValueError):
    """A text that is neither JSON nor a Python literal of plain values."""


def read_literal(text: str) -> Any:
    """Return what a text says: objects, lists, texts, numbers, truth values and nothing.

    Quotes may be single or double, `true` and `True` are one, a comma may stand before a bracket
    that closes, and a tuple is a list. Nothing is evaluated. Raises UnreadableLiteral for all
    else, for a name that an object has twice, and beyond `LONGEST` and `DEEPEST`.
    """
    if len(text) > LONGEST:
        raise UnreadableLiteral(f"{len(text)} characters, more than {LONGEST}")
    reader = _Reader(text)
    value = reader.value(0)
    reader.expect_end()
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._place = text, 0
        self._kind, self._token = "", ""
        self._advance()

    def value(self, depth: int) -> Any:
        kind, token = self._kind, self._token
        if kind == "mark" and token in _ENDS:
            if depth == DEEPEST:
                raise UnreadableLiteral(f"more than {DEEPEST} lists and objects within each other")
            self._advance()
            return self._object(depth + 1) if token == "{" else self._list(_ENDS[token], depth + 1)
        self._advance()
        if kind == "string":
            return self._string(token)
        if kind == "number":
            return self._number(token)
        if kind == "word" and token in _WORDS:
            return _WORDS[token]
        raise UnreadableLiteral(f"{token[:40]!r} is no value" if token else "it ends too soon")

    def expect_end(self) -> None:
        if self._kind:
            raise UnreadableLiteral(f"{self._token[:40]!r} stands after the value")

    def _list(self, end: str, depth: int) -> list[Any]:
        found: list[Any] = []
        self._members(end, lambda: found.append(self.value(depth)))
        return found

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def member() -> None:
            name = self.value(depth)
            if not isinstance(name, str) or name in found:
                problem = "is given twice" if isinstance(name, str) else "is no name"
                raise UnreadableLiteral(f"{str(name)[:40]!r} {problem}")
            if self._token != ":" or self._kind != "mark":
                raise UnreadableLiteral(f"no colon after {name[:40]!r}")
            self._advance()
            found[name] = self.value(depth)

        self._members("}", member)
        return found

    def _members(self, end: str, member: Callable[[], None]) -> None:
        while (self._kind, self._token) != ("mark", end):
            member()
            if (self._kind, self._token) == ("mark", ","):
                self._advance()
            elif (self._kind, self._token) != ("mark", end):
                raise UnreadableLiteral(f"no {end} where {self._token[:40]!r} stands")
        self._advance()

    def _string(self, token: str) -> str:
        try:
            text = str(json.loads(token, strict=False) if token[0] == '"' else "")
            return text if token[0] == '"' else str(ast.literal_eval(token))
        except (ValueError, SyntaxError):
            pass
        try:  # double quotes with Python's escapes
            return str(ast.literal_eval(token))
        except (ValueError, SyntaxError) as error:
            raise UnreadableLiteral(f"{token[:40]} is no text") from error

    def _number(self, token: str) -> int | float:
        try:
            number = float(token) if set(token) & set(".eE") else int(token)
        except ValueError as error:  # of more digits than Python reads
            raise UnreadableLiteral(f"{token[:40]} is no number") from error
        if number in (float("inf"), float("-inf")):
            raise UnreadableLiteral(f"{token[:40]} is beyond any number")
        return number

    def _advance(self) -> None:
        match = _TOKEN.match(self._text, self._place)
        if match is None:
            rest = self._text[self._place :].strip()
            if rest:
                raise UnreadableLiteral(f"{rest[:40]!r} is no value")
            self._kind = self._token = ""
            return
        self._kind = match.lastgroup or ""
        self._token, self._place = match.group(self._kind), match.end()
