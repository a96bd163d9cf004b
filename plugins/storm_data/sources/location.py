"""The places that a data set of the hub is read from: a repository, a folder, or a sample."""

from __future__ import annotations

SAMPLE = "sample:"
"""The prefix of a repository whose sample is read in its place."""


def is_sample(place: str) -> bool:
    """Return whether a source is the sample of a repository, as in rehearsals."""
    return place.startswith(SAMPLE)


def is_folder(place: str) -> bool:
    """Return whether a source is a folder of this machine."""
    return place.startswith(("/", ".", "~"))
