"""Curation: judging the rows of a data set with a model, and selecting rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_exp import hookimpl

if TYPE_CHECKING:
    from storm_exp.report import RunRecord, Section

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the judge and the curators."""
    from storm_curation.curators.highest_value import HighestValue
    from storm_curation.curators.keep_all import KeepAll
    from storm_curation.curators.mistakes import Mistakes
    from storm_curation.curators.random_subset import RandomSubset
    from storm_curation.curators.thresholds import Thresholds
    from storm_curation.judge.zero_shot import ZeroShot

    return [ZeroShot, Thresholds, HighestValue, Mistakes, RandomSubset, KeepAll]


@hookimpl
def storm_requires() -> tuple[tuple[str, ...], str]:
    """Return the packages that components need, and the extra that installs them."""
    return ("torch", "transformers", "pyarrow"), "train"


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the report's sections on judgements and on curation."""
    from storm_curation.report import sections

    return sections(run)
