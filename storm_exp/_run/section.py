"""Sections: what the report is made of.

A section is HTML as `Markup`; a plain string in its place is escaped. Within a place, sections are
ordered as the stages that they tell of.
"""

from __future__ import annotations

import dataclasses
import enum

from markupsafe import Markup


class Place(enum.IntEnum):
    """Where in the report a section stands, from first to last."""

    TOP = 0
    """What a sweep found."""
    LEAD = 1
    """What a run was made for."""
    STAGES = 2
    """What was made from what."""
    BODY = 3
    """What the stages have to show."""
    APPENDIX = 4
    """Settings and surroundings."""


@dataclasses.dataclass
class Section:
    """A part of the report."""

    title: str
    html: Markup
    stage: str = ""
    """The stage that it tells of, which decides its order among the sections of its place."""
    place: Place = Place.BODY
    style: str = ""
    """A style sheet that it brings for the page, which all sections share."""


def duration(seconds: float | None) -> str:
    """Return `4.1 s` or `3 min 12 s`."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
