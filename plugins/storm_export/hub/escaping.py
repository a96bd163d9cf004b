"""Text from data in Markdown, where it stays text."""

from __future__ import annotations

import re

_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


def escape(value: object) -> str:
    """Return a value as one line of Markdown that shows it as it is: no links, tables or HTML."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", text)


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; cells are escaped by whoever fills them."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
