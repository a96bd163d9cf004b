"""The sections of every report, independent of the recipe."""

from __future__ import annotations

from storm_exp.report import RunRecord, Section
from storm_report.configuration import configuration_section
from storm_report.environment import environment_section
from storm_report.stages import stage_section
from storm_report.sweep import sweep_section
from storm_report.sweep_notes import notes_sections
from storm_report.trade_offs import trade_off_sections


def sections(run: RunRecord) -> list[Section]:
    """Return what a sweep found, then stages, configuration and environment."""
    swept = [sweep_section(run), *trade_off_sections(run)] if run.is_sweep else []
    swept += notes_sections(run)
    return [*swept, stage_section(run), configuration_section(run), environment_section(run)]
