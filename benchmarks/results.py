"""RESULTS.md: one section per benchmark, replaced when it is measured again."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
CHOICES: tuple[Callable[[Iterable[float]], float], ...] = (
    statistics.median,
    max,
    statistics.median,
)
"""What is reported of several rounds' seconds, peak of memory, and a third figure."""
_PACKAGES = (
    "hydra-core",
    "torch",
    "transformers",
    "lightning",
    "lm_eval",
    "llmcompressor",
    "mergekit",
)


def write_section(title: str, command: str, body: str, packages: tuple[str, ...] = ()) -> None:
    """Put `body` under `title` in RESULTS.md, with the command, versions and machine.

    `packages` are further ones whose versions count.
    """
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Results\n"
    section = f"## {title}\n\n    {command}\n\n{setting(packages)}\n\n{body.strip()}\n"
    pattern = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.M | re.S)
    if pattern.search(text):
        text = pattern.sub(lambda _: section + "\n", text)
    else:
        text = text.rstrip() + "\n\n" + section
    RESULTS.write_text(text.rstrip() + "\n", encoding="utf-8")
    print(section)


def write_between(page: Path, mark: str, body: str) -> None:
    """Put `body` between the comments `mark` and `/mark` of a page of the documentation."""
    start, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    text = page.read_text(encoding="utf-8")
    before, after = text.partition(start)[0], text.partition(end)[2]
    page.write_text(f"{before}{start}\n{body}\n{end}{after}", encoding="utf-8")


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def setting(packages: tuple[str, ...] = ()) -> str:
    """Return date, machine and versions in a line."""
    names = (*_PACKAGES, *packages)
    versions = ", ".join(f"{name} {_version(name)}" for name in names if _version(name))
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    date = datetime.date.today().isoformat()
    cores = len(os.sched_getaffinity(0))
    return f"{date}; {model}, {cores} cores; Python {platform.python_version()}, {versions}."


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
