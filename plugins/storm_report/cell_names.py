"""Names of cells: the settings that differ, or the one setting that says which cell it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from storm_exp.report import RunRecord
from storm_report.run_table import groups, is_seed

RECIPE = "recipe"
"""The cell that sets nothing of what the others set."""


_ARM = "ablation.arm"
"""The setting that names an arm of an ablation by the factors that it is without."""


def deciding_setting(settings: Sequence[Mapping[str, str]]) -> str:
    """Return the setting that alone tells all cells apart, as the arm of an ablation; '' if none.

    `settings` are those that differ, without seeds.
    """
    names = list(settings[0]) if settings else []
    return next((n for n in names if len({each[n] for each in settings}) == len(settings)), "")


def short_settings(record: RunRecord) -> list[dict[str, str]]:
    """Return the settings that differ of each cell: where one decides, that one and the seeds."""
    settings = record.cell_settings()
    deciding = deciding_setting([settings for settings, _ in groups(record)])
    return [
        {k: v for k, v in each.items() if not deciding or k == deciding or is_seed(k)}
        for each in settings
    ]


def seedless_settings(record: RunRecord) -> list[dict[str, str]]:
    """Return the same without seeds, for each group of cells."""
    grouped = [settings for settings, _ in groups(record)]
    deciding = deciding_setting(grouped)
    return [{k: v for k, v in each.items() if k == (deciding or k)} for each in grouped]


def cell_name(settings: Mapping[str, str]) -> str:
    """Return the name of a cell by its settings, as in `merger.t=0.3 · seed=1`."""
    seeds = [f"{name}={value}" for name, value in settings.items() if is_seed(name)]
    others = [
        f"without {v}" if k == _ARM else f"{k}={v}"
        for k, v in settings.items()
        if v and not is_seed(k)
    ]
    named = others or [RECIPE] * (len(seeds) < len(settings) or not seeds)
    return " · ".join([*named, *seeds])
