"""Escaping of text from data in Markdown."""

from __future__ import annotations

import re

_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|~-])")
_ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9.+-]*://|www\.|mailto:|xmpp:)[\w.:/@?=&%#~+,;!-]*|[\w.+-]+@[\w.-]+",
    re.IGNORECASE,
)
"""What GitHub's Markdown makes a link of without any mark (GFM, 6.9 Autolinks)."""


def escape(value: object) -> str:
    """Return a value as one line of Markdown that shows it literally: no links, tables or HTML.

    Addresses are set as code, the only text in which none becomes a link.
    """
    text, out, end = " ".join(str(value).split()), "", 0
    for address in _ADDRESS.finditer(text):
        out += f"{_escaped(text[end : address.start()])}`{address.group()}`"
        end = address.end()
    return out + _escaped(text[end:])


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", text)


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table of cells that the caller has escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
