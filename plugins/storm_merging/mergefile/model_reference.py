"""How a mergekit YAML names a model: a folder or a repository, a revision, an adapter."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

from storm_exp import InputError, did_you_mean

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_KEYS = ("model", "lora", "override_architecture")
MERGER, LATEST = "merger", "latest"
"""The stage that merges, and the link to the last run's folder."""


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder, or a repository of the hub at a revision."""

    path: str = dataclasses.field(compare=False)
    """As it is written."""
    revision: str | None = None
    name: str = ""
    """The folder's own path, however it is written, or the repository."""

    def folder(self, beside: Path) -> Path | None:
        """Return the folder, also if it lies `beside` the YAML; None for a repository."""
        given = Path(self.path).expanduser()
        for folder in (given, beside / given):
            if folder.is_dir():
                return folder
        return None

    def __str__(self) -> str:
        return self.path + (f"@{self.revision}" if self.revision else "")


@dataclasses.dataclass(frozen=True)
class ModelReference:
    """A model, with an adapter that is merged into it first."""

    model: Place
    lora: Place | None = None

    def __str__(self) -> str:
        return str(self.model) + (f"+{self.lora}" if self.lora else "")


def read_reference(value: Any, where: str, beside: Path) -> ModelReference:
    """Return the model that `value` names: `NAME`, `NAME@REVISION`, `NAME+ADAPTER`, or a mapping.

    Raises InputError, which begins with `where`, for a folder that is not there and a name that
    the hub cannot have.
    """
    if isinstance(value, dict):
        return _read_mapping(value, where, beside)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: {value!r} is no model: name a folder, or owner/name")
    if folder := _folder(value, where, beside):  # a folder may have + and @ in its name
        return ModelReference(folder)
    name, plus, adapter = value.partition("+")
    model = _read_place(name, where, beside)
    return ModelReference(model, _read_place(adapter, where, beside) if plus else None)


def _read_mapping(value: dict[str, Any], where: str, beside: Path) -> ModelReference:
    if "path" in value:
        return ModelReference(_read_path(value, where, beside))
    for key in value:
        if key not in _KEYS:
            near = did_you_mean(str(key), [*_KEYS, "path"])
            raise InputError(f"{where}.{key}: no key of a model{near}")
    if value.get("override_architecture") is not None:
        raise InputError(
            f"{where}.override_architecture={value['override_architecture']!r}: not read here; the "
            "architecture is that of the model's config.json"
        )
    if "model" not in value:
        raise InputError(f"{where}: a model needs the key 'model'")
    places = {
        key: _read_path(each, f"{where}.{key}", beside)
        if isinstance(each := value[key], dict)
        else _read_place(each, f"{where}.{key}", beside)
        for key in ("model", "lora")
        if value.get(key) is not None
    }
    return ModelReference(places["model"], places.get("lora"))


def _read_path(value: dict[str, Any], where: str, beside: Path) -> Place:
    for key in value:
        if key not in ("path", "revision"):
            near = did_you_mean(str(key), ("path", "revision"))
            raise InputError(f"{where}.{key}: no key of a model's place{near}")
    revision = value.get("revision")
    name = f"{value.get('path')}" + (f"@{revision}" if revision is not None else "")
    return _read_place(name, where, beside)


def _read_place(value: Any, where: str, beside: Path) -> Place:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: {value!r} is no model: name a folder, or owner/name")
    if folder := _folder(value, where, beside):
        return folder
    name, at, revision = value.partition("@")
    if at and (not revision or "@" in revision):
        raise InputError(f"{where}: '{value}' names no revision after one @")
    if _folder(name, where, beside):
        raise InputError(f"{where}: '{value}': {name} is a folder, which has no revisions")
    if not _REPOSITORY.fullmatch(name) or name.startswith((".", "/", "~")):
        looked = " and ".join(map(str, dict.fromkeys([Path.cwd(), beside])))
        raise InputError(
            f"{where}: '{value}' is neither a folder (looked for in {looked}) nor a repository of "
            "the hub, owner/name"
        )
    return Place(name, revision or None, name)


def _folder(value: str, where: str, beside: Path) -> Place | None:
    """Return the place of a folder, None where there is none.

    Raises InputError for the result of the last merge, which this one would replace.
    """
    folder = Place(value).folder(beside)
    if folder is None:
        return None
    if folder.name == MERGER and folder.parent.name == LATEST and folder.parent.is_symlink():
        own = folder.parent.resolve() / MERGER
        raise InputError(f"{where}: '{value}' is another model after each merge: write {own}")
    return Place(value, name=str(folder.resolve()))
