"""Merging without extremes, and a measure of how far a model moved."""

from pathlib import Path

from storm_exp import hookimpl
from storm_trimmed_mean.distance import RelativeDistance
from storm_trimmed_mean.shown import drift_section, print_drift
from storm_trimmed_mean.trimmed_mean import TrimmedMean

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    return [TrimmedMean, RelativeDistance]


@hookimpl
def storm_requires() -> tuple[tuple[str, ...], str]:
    return ("torch",), "train"


@hookimpl
def storm_config_folder() -> str:
    return str(Path(__file__).parent / "conf")


@hookimpl
def storm_report_sections(run):
    return drift_section(run)


@hookimpl
def storm_verbs():
    return {"drift": print_drift}
