"""A project of a user's own, laid out by `storm-exp new`."""

from __future__ import annotations

from collections.abc import Callable

from storm_exp import hookimpl

storm_api = ">=1,<2"


@hookimpl
def storm_verbs() -> dict[str, Callable[[list[str]], int]]:
    """Return `new`."""
    from storm_project.new import new

    return {"new": new}
