"""What a word on the command line names: a stage, an artifact of the store, a folder, a file."""

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
"""What the exporter `gguf` leaves beside its files, in their order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A folder that was named, or a GGUF file."""

    name: str
    """What it is called: the stage's label, else the name of the folder or file."""
    place: Path
    manifest: Manifest | None = None
    """What the store says of it; None outside a store."""

    def has_checkpoint(self) -> bool:
        """Whether it is a model in Hugging Face layout."""
        return (self.place / "config.json").is_file()

    def checkpoint(self) -> Checkpoint:
        """Return the model; raises InputError where it is none."""
        if not self.has_checkpoint():
            raise InputError(f"{self.place} is no model: it has no config.json")
        return Checkpoint(self.place, self.manifest.key if self.manifest else "")

    def gguf_files(self) -> list[Path]:
        """Return its GGUF files, the one that was asked for first before the others."""
        if self.place.is_file():
            return [self.place]
        files = sorted(self.place.glob(f"*{_GGUF}"))
        if (self.place / _SUMMARY).is_file():
            entries = read_json(self.place / _SUMMARY).get("files") or []
            listed = [self.place / str(entry["file"]) for entry in entries]
            return [file for file in listed if file in files]
        return files


def find_target(word: str, store: Path = STORE) -> Target:
    """Return what a word names.

    That is a stage of the latest run by its label, an artifact of `store` by the first digits of
    its key, or a folder or file by its path (`./NAME` where a stage has the same name). Raises
    InputError, with what there is, where nothing has this name.
    """
    is_path = os.sep in word or word in (".", "..") or word.startswith("~")
    if not is_path and word:
        if (stage := LATEST / word).is_dir():
            return _opened(word, stage)
        if _KEY.fullmatch(word) and (found := _of_key(word, store)) is not None:
            return _opened(word, found)
    path = Path(word).expanduser()
    if word and path.exists():
        return _opened(path.resolve().name, path)
    raise InputError(f"no model '{word}': {_known(word, store)}")


def _opened(name: str, place: Path) -> Target:
    place = place.resolve()
    if place.is_file():
        if place.suffix != _GGUF:
            raise InputError(f"{place} is neither a folder nor a GGUF file")
        return Target(name=place.stem, place=place)
    if not _is_artifact(place):
        return Target(name=name, place=place)
    manifest = Manifest.read(place)
    if manifest is None:
        raise InputError(f"{place}: its manifest is damaged (see store verify)")
    return Target(name=name, place=manifest.payload(place), manifest=manifest)


def _is_artifact(place: Path) -> bool:
    named = re.fullmatch("[0-9a-f]{64}", place.name) is not None
    return named and place.parent.name == place.name[:2]


def _of_key(prefix: str, store: Path) -> Path | None:
    found = [place for place in store.glob(f"artifacts/*/{prefix}*") if _is_artifact(place)]
    if len(found) > 1:
        raise InputError(f"{len(found)} artifacts begin with '{prefix}': give more digits")
    return found[0] if found else None


def _known(word: str, store: Path) -> str:
    labels = sorted(place.name for place in LATEST.glob("*") if is_model(place))
    if not labels:
        there = f"no run is there ({LATEST})"
        if (LATEST / "cells").is_dir():
            there = f"the latest run is a sweep: name a model below {LATEST}/cells"
    else:
        there = f"the latest run's are {', '.join(labels)}{did_you_mean(word, labels)}"
    return f"{there}; nor is it a key in {store}, or a folder or GGUF file"


def is_model(place: Path) -> bool:
    """Return whether a folder has a model in it, in Hugging Face layout or as GGUF."""
    return (place / "config.json").is_file() or any(place.glob(f"*{_GGUF}"))
