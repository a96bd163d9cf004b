"""An environment: its purpose, folder, requirements and state."""

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
"""Environment variable with the folder of all environments, instead of the user's data folder."""
STAMP = "storm-exp.json"
"""File that is written last: an environment without it is incomplete and counts as missing."""
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
    """A Python environment for programs and servers that stages use over HTTP or through files."""

    name: str
    purpose: str
    """Its purpose, in a few words."""
    requirements: Path
    """A file of pinned requirements, complete: pip resolves no dependencies."""
    imports: tuple[str, ...]
    """Modules that it must be able to import, at least one."""
    extra: str = ""
    """The extra of storm-exp that installs the same packages into this Python; empty: none."""
    variant: str = ""
    """Distinguishes environments of the same name on different machines: cpu, gpu."""

    @property
    def command(self) -> str:
        """The command that creates it."""
        return f"storm-exp env create {self.name}"

    @property
    def folder(self) -> Path:
        """Its folder, which may not exist."""
        return environments_folder() / "-".join(filter(None, [self.name, self.variant]))

    @property
    def interpreter(self) -> Path:
        """Its interpreter, which may not exist."""
        return self.folder / "bin" / "python"

    def digest(self) -> str:
        """Return the digest of the requirements, which the stamp contains."""
        return hashlib.sha256(self.requirements.read_bytes()).hexdigest()

    def pins(self) -> dict[str, str]:
        """Return {distribution: version} of the requirements."""
        text = self.requirements.read_text(encoding="utf-8")
        return {_normal(name): version for name, version in _PIN.findall(text)}

    def problem(self) -> str:
        """Return why it cannot be used; empty if it can, or if this Python has its packages."""
        if self.is_here():
            return ""
        if not self.folder.is_dir():
            return "does not exist"
        try:
            stamp = json.loads((self.folder / STAMP).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return "is incomplete"
        if stamp.get("requirements") != self.digest():
            return "was created from requirements other than those of this storm-exp"
        if not self.interpreter.exists():
            return f"has lost its interpreter ({self.interpreter})"
        versions = installed(self.folder)
        for name, version in self.pins().items():
            actual = versions.get(name)
            if actual is None or actual.partition("+")[0] != version.partition("+")[0]:
                return f"should have {name} {version}, and has {actual or 'none'}"
        return ""

    def python(self) -> Path:
        """Return its interpreter; raises InputError, with the command to run, if it has none."""
        problem = self.problem()
        if problem:
            raise InputError(f"the environment '{self.name}' {problem}: {self.command}")
        return Path(sys.executable) if self.is_here() else self.interpreter

    def is_here(self) -> bool:
        """Whether this Python can import its modules, because the extra is installed."""
        specs = [importlib.util.find_spec(name) for name in self.imports]
        # A folder of the same name in the working directory would be a namespace, without origin.
        return bool(self.extra) and all(spec and spec.origin for spec in specs)


def environments_folder() -> Path:
    """Return the folder of a user's environments, which all checkouts share."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(os.environ.get(FOLDER) or Path(data) / "storm-exp" / "environments").absolute()


def installed(environment: Path) -> dict[str, str]:
    """Return {distribution: version} of an environment, from the names of dist-info folders."""
    versions = {}
    for folder in environment.glob("lib/python*/site-packages/*.dist-info"):
        name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
        versions[_normal(name)] = version
    return versions


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
