"""Models named on the command line: by stage, by key, or by path."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

from storm_exp import InputError, Manifest, did_you_mean
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.folder.json_file import read_json

LATEST = Path("outputs/latest")
"""The stages of the latest run."""
STORE = Path("outputs/store")
_KEY = re.compile("[0-9a-f]{4,64}")
_GGUF = ".gguf"
_SUMMARY = "gguf.json"
"""The list of files that the exporter `gguf` writes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A folder or a GGUF file."""

    name: str
    """The stage's label, or the name of the folder or file."""
    word: str
    """What was typed."""
    path: Path
    """Where it was found: the typed path, or that of the stage or artifact."""
    place: Path
    """`path` without links: the folder of the files."""
    manifest: Manifest | None = None
    """The artifact's manifest; None outside a store."""

    def has_checkpoint(self) -> bool:
        """Return whether the folder has a model in Hugging Face layout."""
        return (self.place / "config.json").is_file()

    def checkpoint(self) -> Checkpoint:
        """Return the model in Hugging Face layout; raises InputError if there is none."""
        if not self.has_checkpoint():
            raise InputError(f"{self.place} is not a model: it has no config.json")
        return Checkpoint(self.place, self.manifest.key if self.manifest else "")

    def gguf_files(self) -> list[Path]:
        """Return the GGUF files, in the order of the exporter's `types`."""
        if self.place.is_file():
            return [self.place]
        files = sorted(self.place.glob(f"*{_GGUF}"))
        if (self.place / _SUMMARY).is_file():
            entries = read_json(self.place / _SUMMARY).get("files") or []
            listed = [self.place / str(entry["file"]) for entry in entries]
            return [file for file in listed if file in files]
        return files


def find_target(word: str, store: Path = STORE) -> Target:
    """Return the target of a word on the command line.

    The word is the label of a stage of the latest run, the first digits of the key of an artifact
    in `store`, or a path (`./NAME` if a stage has the same name). Raises InputError, listing the
    models of the latest run, if there is no such target.
    """
    located = locate(word, store)
    if located is None:
        raise InputError(f"no model '{word}': {_alternatives(word, store)}")
    return open_target(word, *located)


def locate(word: str, store: Path = STORE) -> tuple[str, Path] | None:
    """Return the name and place of the stage, artifact, folder or file that a word names.

    None if there is none. Raises InputError if several keys begin with the word.
    """
    is_path = os.sep in word or word in (".", "..") or word.startswith("~")
    if not is_path and word:
        if (stage := LATEST / word).is_dir():
            return word, stage
        if _KEY.fullmatch(word) and (found := _of_key(word, store)) is not None:
            return word, found
    path = Path(word).expanduser()
    return (path.resolve().name, path) if word and path.exists() else None


def open_target(word: str, name: str, path: Path) -> Target:
    """Return the target that `locate` found; raises InputError if it is damaged or was evicted."""
    place = path.resolve()
    if place.is_file():
        if place.suffix != _GGUF:
            raise InputError(f"{place} is not a GGUF file")
        return Target(name=place.stem, word=word, path=path, place=place)
    if not is_artifact(place):
        return Target(name=name, word=word, path=path, place=place)
    manifest = Manifest.read(place)
    if manifest is None:
        raise InputError(f"{place}: its manifest is damaged (see store verify)")
    gone = [file for file in manifest.files if not (manifest.payload(place) / file).exists()]
    if gone:
        raise InputError(
            f"{name}: {gone[0]} was evicted from the store or deleted; the command of its run "
            "makes it again with targets=[STAGE] (storm-exp runs show)"
        )
    files = manifest.payload(place)
    return Target(name=name, word=word, path=path, place=files, manifest=manifest)


def is_artifact(place: Path) -> bool:
    """Return whether a path is the directory of an artifact, by its name and its parent's."""
    named = re.fullmatch("[0-9a-f]{64}", place.name) is not None
    return named and place.parent.name == place.name[:2]


def _of_key(prefix: str, store: Path) -> Path | None:
    found = [place for place in store.glob(f"artifacts/*/{prefix}*") if is_artifact(place)]
    if len(found) > 1:
        raise InputError(f"{len(found)} artifacts begin with '{prefix}': give more digits")
    return found[0] if found else None


def _alternatives(word: str, store: Path) -> str:
    labels = sorted(place.name for place in LATEST.glob("*") if is_model(place))
    if not labels:
        there = f"there is no run ({LATEST})"
        if (LATEST / "cells").is_dir():
            there = f"the latest run is a sweep: give the path of a model in {LATEST}/cells"
    else:
        there = f"the latest run has {', '.join(labels)}"
    near = did_you_mean(word, labels)
    meant = near if "did you mean" in near else ""
    return f"{there}; it is not a key in {store}, a folder or a GGUF file either{meant}"


def is_model(place: Path) -> bool:
    """Return whether a folder has a model in Hugging Face layout, or GGUF files."""
    return (place / "config.json").is_file() or any(place.glob(f"*{_GGUF}"))
