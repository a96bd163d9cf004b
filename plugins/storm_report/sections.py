"""The sections of every report, independent of the recipe."""

from __future__ import annotations

from storm_exp.report import RunRecord, Section
from storm_report.configuration import configuration_section
from storm_report.environment import environment_section
from storm_report.stages import stage_section
from storm_report.svg import STYLE
from storm_report.sweep import sweep_section
from storm_report.template import PAGE_STYLE


def sections(run: RunRecord) -> list[Section]:
    """Return what a sweep found, then stages, configuration and environment."""
    stages = stage_section(run)
    stages.style = "".join(file.read_text(encoding="utf-8") for file in (STYLE, PAGE_STYLE))
    swept = [sweep_section(run)] if run.is_sweep else []
    return [*swept, stages, configuration_section(run), environment_section(run)]
