"""Sections of the report.

The contents of a section are HTML as `Markup`; a plain string is escaped. Within a place, sections
are in the order of their stages.
"""

from __future__ import annotations

import dataclasses
import enum

from markupsafe import Markup


class Place(enum.IntEnum):
    """Position of a section in the report, from first to last."""

    TOP = 0
    """Results of a sweep."""
    LEAD = 1
    """Main results of a run."""
    STAGES = 2
    """Graph and table of the stages."""
    BODY = 3
    """Details of stages."""
    APPENDIX = 4
    """Settings and environment."""


@dataclasses.dataclass
class Section:
    """Part of the report."""

    title: str
    html: Markup
    stage: str = ""
    """Stage that it is about, which determines the order within its place."""
    place: Place = Place.BODY
    style: str = ""
    """Style sheet for the page, which applies to all sections."""


def duration(seconds: float | None) -> str:
    """Return `4.1 s` or `3 min 12 s`."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
