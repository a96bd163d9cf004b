"""Rendering of the subset of Go's text/template that our chat templates use, without Go.

Supported: values, strings, `if` with `else if` and `else`, `range` with variables, `:=` and `=`,
the functions eq, and, or, not and Ollama's json; `{{-` and `-}}` trim surrounding space.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_STRING = r'"(?:[^"\\]|\\.)*"'
_ACTION = re.compile(rf'(\s*)\{{\{{(-\s)?((?:{_STRING}|[^"])*?)(\s-)?\}}\}}', re.DOTALL)
_WORD = re.compile(rf'{_STRING}|:=|=|[(),]|[^\s"(),]+')


@dataclasses.dataclass
class _Node:
    """A text, a value, an assignment, or a block with branches."""

    kind: str
    words: list[str] = dataclasses.field(default_factory=list)
    text: str = ""
    branches: list[tuple[list[str], list[_Node]]] = dataclasses.field(default_factory=list)


class GoTemplate:
    """A parsed template; raises ValueError for unsupported syntax."""

    def __init__(self, text: str) -> None:
        """Parse a template's text."""
        tokens = list(_tokens(text))
        self._nodes, at = _parse(tokens, 0, top=True)
        if at != len(tokens):
            raise ValueError(f"{tokens[at]}: there is no open block")

    def render(self, values: Mapping[str, Any]) -> str:
        """Return the text for values, which the template refers to as `.` and `$`."""
        output: list[str] = []
        _render(self._nodes, values, {"$": values}, output)
        return "".join(output)


def _tokens(text: str) -> Iterator[tuple[str, Any]]:
    """Yield texts, trimmed as the actions demand, and the words of actions."""
    at, trims = 0, False
    for match in _ACTION.finditer(text):
        before = text[at : match.start()] + ("" if match[2] else match[1])
        if trims:
            before = before.lstrip()
        if before:
            yield "text", before.rstrip() if match[2] else before
        at, trims = match.end(), bool(match[4])
        yield "action", _WORD.findall(match[3])
    rest = text[at:].lstrip() if trims else text[at:]
    if rest:
        yield "text", rest


def _parse(
    tokens: Sequence[tuple[str, Any]], at: int, top: bool = False
) -> tuple[list[_Node], int]:
    """Return the nodes up to an `else` or `end`, and its index."""
    nodes: list[_Node] = []
    while at < len(tokens):
        kind, content = tokens[at]
        if kind == "text":
            nodes.append(_Node("text", text=content))
        elif content[:1] in (["end"], ["else"]):
            return nodes, at
        elif content[:1] in (["if"], ["range"]):
            node, at = _parse_block(tokens, at)
            nodes.append(node)
        else:
            set_ = len(content) > 2 and content[1] in (":=", "=")
            nodes.append(_Node("set" if set_ else "value", content))
        at += 1
    if not top:
        raise ValueError("a block has no end")
    return nodes, at


def _parse_block(tokens: Sequence[tuple[str, Any]], at: int) -> tuple[_Node, int]:
    node = _Node(tokens[at][1][0])
    words = tokens[at][1][1:]
    while True:
        inside, at = _parse(tokens, at + 1)
        node.branches.append((words, inside))
        content = tokens[at][1]
        if content == ["end"]:
            return node, at
        words = content[2:] if content[1:2] == ["if"] else ["true"]


def _render(nodes: Sequence[_Node], dot: Any, names: dict[str, Any], output: list[str]) -> None:
    for node in nodes:
        if node.kind == "text":
            output.append(node.text)
        elif node.kind == "value":
            output.append(_shown(_value(node.words, dot, names)))
        elif node.kind == "set":
            names[node.words[0]] = _value(node.words[2:], dot, names)
        elif node.kind == "if":
            for words, inside in node.branches:
                if _value(words, dot, names):
                    _render(inside, dot, names, output)
                    break
        else:
            (words, inside), *_ = node.branches
            has_variables = ":=" in words
            for index, item in enumerate(_value(words[-1:], dot, names) or []):
                if has_variables:
                    names[words[0]], names[words[2]] = index, item
                _render(inside, item, names, output)


def _value(words: Sequence[str], dot: Any, names: Mapping[str, Any]) -> Any:
    """Return the value of an expression: a function with its arguments, or one operand."""
    values, rest = [], list(words)
    name = rest.pop(0) if rest and rest[0] in ("eq", "and", "or", "not", "json") else ""
    while rest:
        if rest[0] == "(":
            end = _closing(rest)
            values.append(_value(rest[1:end], dot, names))
            rest = rest[end + 1 :]
        else:
            values.append(_operand(rest.pop(0), dot, names))
    if name == "eq":
        return values[0] in values[1:]
    if name == "and":
        return next((value for value in values if not value), values[-1])
    if name == "or":
        return next((value for value in values if value), values[-1])
    if name == "not":
        return not values[0]
    if name == "json":
        return go_json(values[0])
    (value,) = values
    return value


def _closing(words: Sequence[str]) -> int:
    """Return the index of the bracket that closes the first one; raises ValueError."""
    depth = 0
    for at, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if depth == 0:
            return at
    raise ValueError("a bracket is not closed")


def _operand(word: str, dot: Any, names: Mapping[str, Any]) -> Any:
    if word.startswith('"'):
        return json.loads(word)
    if word in ("true", "false"):
        return word == "true"
    if word == ".":
        return dot
    name, *fields = word.split(".")
    if name and name not in names:
        raise ValueError(f"{word!r} is not a known value")
    value = names[name] if name else dot
    for field in fields:
        value = value.get(field) if isinstance(value, Mapping) else None
    return value


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


def go_json(value: Any) -> str:
    """Return JSON as Go's json.Marshal writes it: no spaces, sorted keys, `<`, `>`, `&` escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
