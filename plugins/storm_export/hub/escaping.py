"""Escaping of text from data in Markdown."""

from __future__ import annotations

import re

_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


def escape(value: object) -> str:
    """Return a value as one line of Markdown that shows it literally: no links, tables or HTML."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", text)


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table of cells that the caller has escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
