"""Numbers of things in words."""

from __future__ import annotations


def counted(count: int, thing: str) -> str:
    """Return `1 artifact`, `2 artifacts`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
