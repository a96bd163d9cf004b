"""Answering with a model: a library for other plugins, and a component that answers data sets."""

from __future__ import annotations

from storm_exp import hookimpl


@hookimpl
def storm_components() -> list[type]:
    """Return the generator of answers."""
    from storm_inference.answers import Answers

    return [Answers]


@hookimpl
def storm_requires() -> tuple[tuple[str, ...], str]:
    """Return the packages that components need, and the extra that installs them."""
    return ("torch", "transformers"), "train"
