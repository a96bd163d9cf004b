"""The machine that a run is on: hardware, versions, commit."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any


def describe_environment() -> dict[str, Any]:
    """Return versions, machine, threads and commit, which are recorded but part of no key."""
    described = _describe()
    threads = os.environ.get("OMP_NUM_THREADS") or described["cores"]
    return {**described, "threads": int(threads)}


@functools.cache
def _describe() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "distributions": installed_distributions(),
        "git": _git(),
    }


def installed_distributions() -> dict[str, str]:
    """Return {name: version} of installed distributions, from the names of metadata folders.

    importlib.metadata would parse every metadata file, which takes longer than a warm run.
    """
    versions: dict[str, str] = {}
    for entry in map(Path, sys.path):
        for folder in entry.glob("*.dist-info") if entry.is_dir() else ():
            name, _, version = folder.name.removesuffix(".dist-info").partition("-")
            versions.setdefault(name.lower().replace("_", "-"), version)
    return dict(sorted(versions.items()))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else ""


def _git() -> dict[str, str]:
    """Return commit and uncommitted changes of the working directory; empty outside a checkout."""

    def ask(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=5, check=False
        )
        return done.stdout if done.returncode == 0 else ""

    try:
        commit = ask("rev-parse", "HEAD").strip()
        return {"commit": commit, "diff": ask("diff", "HEAD")[:100_000]} if commit else {}
    except (OSError, subprocess.TimeoutExpired):
        return {}
