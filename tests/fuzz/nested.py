"""Paths inside a nested value, of which fuzzers draw one to damage."""

from __future__ import annotations

from typing import Any


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside another."""
    found = [before] if before else []
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for name, inner in entries:
        found += paths(inner, (*before, name))
    return found
