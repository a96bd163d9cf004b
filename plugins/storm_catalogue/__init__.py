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
    from storm_catalogue.version import version

    return {"list": list_, "show": show, "schema": schema, "version": version}


@hookimpl
def storm_completions() -> dict[str, Callable[[list[str]], list[str]]]:
    """Return what a shell offers behind the verbs: kinds, menus and names."""
    from storm_catalogue.completion import kinds_and_menus, names, names_with_schemas

    return {"list": kinds_and_menus, "schema": names_with_schemas, "show": names}


@hookimpl
def storm_complete(line: str) -> list[str] | None:
    """Return what a shell may offer at the end of a line, where it is no setting."""
    from storm_catalogue.completion import complete

    return complete(line)
