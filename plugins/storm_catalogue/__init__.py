"""The catalogue: what there is to choose from, described, and as JSON schemas."""

from __future__ import annotations

from collections.abc import Callable

from storm_exp import hookimpl

storm_api = ">=1,<2"


@hookimpl
def storm_verbs() -> dict[str, Callable[[list[str]], int]]:
    """Return the verbs that list, describe, and write schemas."""
    from storm_catalogue.listing.verb import list_
    from storm_catalogue.schema.verb import schema
    from storm_catalogue.showing.verb import show

    return {"list": list_, "show": show, "schema": schema}
