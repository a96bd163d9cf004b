"""Parsing of values that a model wrote as JSON, Python literals or a mixture of both."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any

LONGEST = 1 << 16
"""Maximum length of a parsed text in characters. A legitimate call has a few hundred."""
DEEPEST = 32
"""Maximum nesting of lists and objects."""

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
    """Return the value of a text: an object, list, string, number, boolean or null.

    Quotes may be single or double, `true` equals `True`, a trailing comma is allowed, and a tuple
    is a list. Nothing is executed. Raises UnreadableLiteral for anything else, for a duplicate key,
    and beyond `LONGEST` and `DEEPEST`.
    """
    if len(text) > LONGEST:
        raise UnreadableLiteral(f"{len(text)} characters, more than {LONGEST}")
    reader = _Reader(text)
    value = reader.value(0)
    reader.expect_end()
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._position = text, 0
        self._kind, self._token = "", ""
        self._advance()

    def value(self, depth: int) -> Any:
        kind, token = self._kind, self._token
        if kind == "mark" and token in _ENDS:
            if depth == DEEPEST:
                raise UnreadableLiteral(f"more than {DEEPEST} nested lists and objects")
            self._advance()
            return self._object(depth + 1) if token == "{" else self._list(_ENDS[token], depth + 1)
        self._advance()
        if kind == "string":
            return self._string(token)
        if kind == "number":
            return self._number(token)
        if kind == "word" and token in _WORDS:
            return _WORDS[token]
        problem = f"{token[:40]!r} is not a value" if token else "the text ends too early"
        raise UnreadableLiteral(problem)

    def expect_end(self) -> None:
        if self._kind:
            raise UnreadableLiteral(f"{self._token[:40]!r} after the end of the value")

    def _list(self, end: str, depth: int) -> list[Any]:
        items: list[Any] = []
        self._members(end, lambda: items.append(self.value(depth)))
        return items

    def _object(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}

        def member() -> None:
            name = self.value(depth)
            if not isinstance(name, str) or name in members:
                problem = "is given twice" if isinstance(name, str) else "is not a string"
                raise UnreadableLiteral(f"{str(name)[:40]!r} {problem}")
            if self._token != ":" or self._kind != "mark":
                raise UnreadableLiteral(f"no colon after {name[:40]!r}")
            self._advance()
            members[name] = self.value(depth)

        self._members("}", member)
        return members

    def _members(self, end: str, member: Callable[[], None]) -> None:
        while (self._kind, self._token) != ("mark", end):
            member()
            if (self._kind, self._token) == ("mark", ","):
                self._advance()
            elif (self._kind, self._token) != ("mark", end):
                raise UnreadableLiteral(f"{self._token[:40]!r} instead of , or {end}")
        self._advance()

    def _string(self, token: str) -> str:
        text = self._unescaped(token)
        try:
            text.encode()
        except UnicodeEncodeError as error:  # an escape of half a surrogate pair
            raise UnreadableLiteral(f"{token[:40]} is not valid Unicode") from error
        return text

    def _unescaped(self, token: str) -> str:
        try:
            text = str(json.loads(token, strict=False) if token[0] == '"' else "")
            return text if token[0] == '"' else str(ast.literal_eval(token))
        except (ValueError, SyntaxError):
            pass
        try:  # double quotes with Python's escapes
            return str(ast.literal_eval(token))
        except (ValueError, SyntaxError) as error:
            raise UnreadableLiteral(f"{token[:40]} is not a valid string") from error

    def _number(self, token: str) -> int | float:
        try:
            number = float(token) if set(token) & set(".eE") else int(token)
        except ValueError as error:  # it has more digits than Python converts
            raise UnreadableLiteral(f"{token[:40]} is not a valid number") from error
        if number in (float("inf"), float("-inf")):
            raise UnreadableLiteral(f"{token[:40]} is too large")
        return number

    def _advance(self) -> None:
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            rest = self._text[self._position :].strip()
            if rest:
                raise UnreadableLiteral(f"{rest[:40]!r} is not a value")
            self._kind = self._token = ""
            return
        self._kind = match.lastgroup or ""
        self._token, self._position = match.group(self._kind), match.end()
