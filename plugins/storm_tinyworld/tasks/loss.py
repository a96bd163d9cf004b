"""How surprised a model is by the right answers: finer than whether it gives them."""

from __future__ import annotations

from typing import Any


def answer(doc: dict[str, Any]) -> str:
    """Return the right answer as it stands: the harness would read `[]` in a template as a list."""
    return str(doc["response"])


def per_character(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, float]:
    """Return an answer's negative log-likelihood per character; where it ends is not asked."""
    likelihood, _ = results[0]
    return {"nats_per_character": -likelihood / len(doc["response"])}
