"""Names of a project: that of its distribution and that of its package."""

from __future__ import annotations

import dataclasses
import importlib.util
import keyword
import re
import unicodedata
from pathlib import Path

from storm_exp import StormError

PACKAGE, DISTRIBUTION = "my_project", "my-project"
"""The names of the template, which stand for those of a project."""


@dataclasses.dataclass(frozen=True)
class ProjectName:
    """Name of a project as a Python package, in letters, digits and `_`."""

    package: str

    @property
    def distribution(self) -> str:
        """Return the name for pip."""
        return self.package.replace("_", "-")

    def written_in(self, text: str) -> str:
        """Return a text of the template with this name."""
        return text.replace(PACKAGE, self.package).replace(DISTRIBUTION, self.distribution)


def choose_name(given: str | None, folder: Path) -> ProjectName:
    """Return the name that was given, or one made of the folder's.

    Accents are dropped, and what is neither letter nor digit becomes `_`. Raises StormError for a
    given name that is no package's, a folder without a letter that could be used, and a name that
    another module has.
    """
    resolved = folder.resolve().name
    package = given if given is not None else _from_folder(resolved)
    remedy = f"storm-exp new DIR --name {'NAME' if given is None else PACKAGE}"
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", package) or keyword.iskeyword(package):
        if given is None:
            raise StormError(f"no package can be named as the folder '{resolved}'; write {remedy}")
        problem = "must be small letters, digits and _, and begin with a letter"
        raise StormError(f"--name '{given}': {problem}, as in {remedy}")
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        problem = f"there is a Python module '{package}' already ({spec.origin})"
        raise StormError(f"{problem}; choose another name: storm-exp new DIR --name NAME")
    return ProjectName(package)


def _from_folder(name: str) -> str:
    """Return a folder's name as that of a package, empty if nothing can be used."""
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    return f"project_{words}" if words[:1].isdigit() else words
