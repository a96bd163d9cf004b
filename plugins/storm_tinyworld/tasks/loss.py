"""The loss of right answers per character, a finer measure than their accuracy."""

from __future__ import annotations

from typing import Any


def answer(doc: dict[str, Any]) -> str:
    """Return the right answer; in a Jinja template, the harness would read `[]` as a list."""
    return str(doc["response"])


def per_character(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, float]:
    """Return an answer's negative log-likelihood per character, without the end of turn."""
    likelihood, _ = results[0]
    return {"nats_per_character": -likelihood / len(doc["response"])}
