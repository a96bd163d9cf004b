"""An environment: what it is for, where it lies, and whether it is there."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
import re
import sys
from pathlib import Path

from storm_exp import InputError

FOLDER = "STORM_EXP_ENVIRONMENTS"
"""Names the folder of all environments; by default they are in the user's data folder."""
STAMP = "storm-exp.json"
"""Written last: an environment without it is half made, and counts as missing."""
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
    """Programs and servers that run apart from stages, and speak HTTP or through files."""

    name: str
    purpose: str
    """What it is for, in a few words."""
    requirements: Path
    """Everything that is installed, pinned: pip resolves nothing."""
    imports: tuple[str, ...]
    """What it must be able to import, at least one name."""
    extra: str = ""
    """The extra of storm-exp that brings the same into this Python; empty: none does."""
    variant: str = ""
    """Tells apart what one name stands for on different machines: cpu, gpu."""

    @property
    def command(self) -> str:
        """What makes it."""
        return f"storm-exp env create {self.name}"

    @property
    def folder(self) -> Path:
        """Where it lies, made or not."""
        return environments_folder() / "-".join(filter(None, [self.name, self.variant]))

    @property
    def interpreter(self) -> Path:
        """Its interpreter, whether it is there or not."""
        return self.folder / "bin" / "python"

    def digest(self) -> str:
        """Return what the stamp of a finished one has: the digest of the requirements."""
        return hashlib.sha256(self.requirements.read_bytes()).hexdigest()

    def pins(self) -> dict[str, str]:
        """Return the versions that the requirements name, by distribution."""
        text = self.requirements.read_text(encoding="utf-8")
        return {_normal(name): version for name, version in _PIN.findall(text)}

    def problem(self) -> str:
        """Return why it cannot be used; empty where it can, or where this one does as well."""
        if self.is_here():
            return ""
        if not self.folder.is_dir():
            return "is not there"
        try:
            stamp = json.loads((self.folder / STAMP).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return "is only half made"
        if stamp.get("requirements") != self.digest():
            return "was made of other requirements than those of this storm-exp"
        if not self.interpreter.exists():
            return f"has lost its interpreter ({self.interpreter})"
        there = installed(self.folder)
        for name, version in self.pins().items():
            found = there.get(name)
            if found is None or found.partition("+")[0] != version.partition("+")[0]:
                return f"should have {name} {version}, and has {found or 'none'}"
        return ""

    def python(self) -> Path:
        """Return its interpreter; raises InputError, with what makes it, if it cannot be used."""
        problem = self.problem()
        if problem:
            raise InputError(f"the environment '{self.name}' {problem}: {self.command}")
        return Path(sys.executable) if self.is_here() else self.interpreter

    def is_here(self) -> bool:
        """Whether this Python can import what is needed: an extra was installed."""
        specs = [importlib.util.find_spec(name) for name in self.imports]
        return bool(self.extra) and None not in specs


def environments_folder() -> Path:
    """Return where environments lie: a user's, shared by all checkouts."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(os.environ.get(FOLDER) or Path(data) / "storm-exp" / "environments").absolute()


def installed(environment: Path) -> dict[str, str]:
    """Return the versions of an environment's distributions, read off their folders' names."""
    found = {}
    for folder in environment.glob("lib/python*/site-packages/*.dist-info"):
        name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
        found[_normal(name)] = version
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
