"""Curation: judging the rows of a data set, and selecting by what was judged."""

from __future__ import annotations

from storm_exp import hookimpl


@hookimpl
def storm_components() -> list[type]:
    """Return the judge and the curators."""
    from storm_curation.random_subset import RandomSubset
    from storm_curation.thresholds import Thresholds
    from storm_curation.whole_pool import WholePool
    from storm_curation.zero_shot import ZeroShot

    return [ZeroShot, Thresholds, RandomSubset, WholePool]
