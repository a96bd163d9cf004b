"""The docstrings of the standard library: text that every machine has."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator

MODULES = (
    "argparse",
    "ast",
    "collections",
    "csv",
    "datetime",
    "decimal",
    "difflib",
    "email.message",
    "functools",
    "inspect",
    "itertools",
    "json",
    "logging",
    "os",
    "shutil",
    "statistics",
    "subprocess",
    "threading",
)
"""Modules of the standard library whose docstrings serve as text."""


def library_docstrings() -> Iterator[tuple[str, str]]:
    """Yield (qualified name, docstring) from modules of the standard library, in order."""
    for name in MODULES:
        module = importlib.import_module(name)
        for member, value in sorted(vars(module).items()):
            if member.startswith("_") or not callable(value):
                continue
            text = inspect.getdoc(value)
            if text:
                yield f"{name}.{member}", text
