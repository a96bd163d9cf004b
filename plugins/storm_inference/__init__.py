"""Answering with a model: a library for other plugins, and a component that answers data sets."""

from __future__ import annotations

from storm_exp import hookimpl


@hookimpl
def storm_components() -> list[type]:
    """Return the generator of answers."""
    from storm_inference.answers import Answers

    return [Answers]
