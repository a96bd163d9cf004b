"""Check of the interpreter and its packages, in code that Python 3.8 can run without any."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from shlex import quote

TO_IMPORT = ("omegaconf", "pluggy", "packaging")
"""Packages that a worker needs, which may run in another environment."""
TO_RUN = (*TO_IMPORT, "hydra", "filelock")
"""Packages that the command line needs."""
_SINCE = (3, 11)


def complaint(needed: tuple[str, ...] = TO_IMPORT) -> str:
    """Return what this interpreter lacks and which one to use instead; empty if all is well."""
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if sys.version_info[:2] < _SINCE:
        version = ".".join(map(str, sys.version_info[:2]))
        problem = f"storm-exp needs Python 3.11 or later, and {sys.executable} is {version}"
    elif missing:
        plural = "s" if len(missing) > 1 else ""
        problem = f"{sys.executable} lacks the package{plural} {', '.join(missing)}"
    else:
        return ""
    return f"{problem}\n  {_remedy()}"


def _remedy() -> str:
    checkout = Path(__file__).resolve().parents[2]
    for folder in (Path.cwd(), checkout):
        environment = folder / ".venv"
        python = environment / "bin" / "python"
        if python.exists() and Path(sys.prefix) != environment:
            return (
                f"there is an environment in {environment}: activate it with `source "
                f"{quote(str(environment))}/bin/activate`, or write {quote(str(python))} "
                "-m storm_exp …"
            )
    return f"`make run` in {checkout} makes an environment, .venv, with all it needs"
