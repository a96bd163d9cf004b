"""Names of cells: the settings that differ, or the one setting that says which cell it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from storm_exp.report import RunRecord
from storm_report.run_table import groups, is_seed

RECIPE = "recipe"
"""The cell that sets nothing of what the others set."""


_ARM, _SECTION, _ONE_IN = "ablation.arm", "ablation", "one_in"
"""The setting that names an arm of an ablation, and the design whose reference has all controls.

In other designs an arm is named by the factors that it is without, in this one by the one it has.
"""


def reference_name(record: RunRecord) -> str:
    """Return what the cell is called that sets nothing of what the others set."""
    return "with all controls" if _is_one_in(record) else RECIPE


def _is_one_in(record: RunRecord) -> bool:
    section = record.cells[0].config.get(_SECTION) if record.cells else None
    return isinstance(section, dict) and section.get("design") == _ONE_IN


def _with_arms(record: RunRecord, settings: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return settings of cells in which an arm of an ablation is said in words."""
    for each in settings:
        if arm := each.get(_ARM):
            each[_ARM] = f"with {arm} alone" if _is_one_in(record) else f"without {arm}"
        elif _ARM in each and _is_one_in(record):
            each[_ARM] = reference_name(record)
    return list(settings)


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
    short = [
        {k: v for k, v in each.items() if not deciding or k == deciding or is_seed(k)}
        for each in settings
    ]
    return _with_arms(record, short)


def seedless_settings(record: RunRecord) -> list[dict[str, str]]:
    """Return the same without seeds, for each group of cells."""
    grouped = [settings for settings, _ in groups(record)]
    deciding = deciding_setting(grouped)
    short = [{k: v for k, v in each.items() if k == (deciding or k)} for each in grouped]
    return _with_arms(record, short)


def cell_name(settings: Mapping[str, str]) -> str:
    """Return the name of a cell by its settings, as in `merger.t=0.3 · seed=1`."""
    seeds = [f"{name}={value}" for name, value in settings.items() if is_seed(name)]
    others = [v if k == _ARM else f"{k}={v}" for k, v in settings.items() if v and not is_seed(k)]
    named = others or [RECIPE] * (len(seeds) < len(settings) or not seeds)
    return " · ".join([*named, *seeds])
