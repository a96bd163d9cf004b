"""The report's section on a run's machine, versions and command line."""

from __future__ import annotations

import importlib.metadata
import re
import shlex

from storm_exp.report import Place, RunRecord, Section
from storm_report.markup import size
from storm_report.template import render


def environment_section(record: RunRecord) -> Section:
    """Return machine, commit, versions and the command line."""
    asked, others = distributions(record)
    html = render(
        "environment.html",
        environment=record.environment,
        memory=size(record.environment.get("memory")),
        asked=asked,
        others=others,
        command=shlex.join(record.argv),
    )
    return Section("Environment", html, place=Place.APPENDIX)


def distributions(record: RunRecord) -> tuple[dict[str, str], dict[str, str]]:
    """Return the versions of this project's requirements, and of all other packages."""
    installed: dict[str, str] = dict(record.environment.get("distributions", {}))
    names = required_names() & installed.keys()
    required = {name: installed.pop(name) for name in sorted(names)}
    return required, installed


def required_names() -> set[str]:
    """Return the names of this project and of the packages that it or an extra of it requires."""
    try:
        requirements = importlib.metadata.requires("storm-exp") or []
    except importlib.metadata.PackageNotFoundError:
        requirements = []
    return {"storm-exp", *(re.split(r"[^\w.-]", line)[0].lower() for line in requirements)}
