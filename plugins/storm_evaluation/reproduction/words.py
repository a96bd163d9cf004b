"""The command line of `reproduce`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from storm_evaluation.reproduction.scores import MARGIN
from storm_exp import StormError, did_you_mean

_FLAGS = ("--margin", "--in", "--json")


@dataclasses.dataclass
class Words:
    """What is to be reproduced, and how."""

    what: str
    outputs: Path = Path("outputs")
    folder: Path | None = None
    """Where it is made, None for a new folder."""
    margin: float = MARGIN
    overrides: list[str] = dataclasses.field(default_factory=list)
    json: bool = False


def read_words(arguments: Sequence[str]) -> Words:
    """Read a command line; raises StormError for one that means nothing here."""
    words, names = Words(""), list[str]()
    waiting = iter(arguments)
    for word in waiting:
        name, equals, value = word.partition("=")
        if name in ("--margin", "--in"):
            value = value if equals else next(waiting, "")
            if name == "--in":
                words.folder = _folder(value)
            else:
                words.margin = read_margin("reproduce", value)
        elif word == "--json":
            words.json = True
        elif word.startswith("-"):
            raise StormError(f"reproduce {word}: no such flag{did_you_mean(word, _FLAGS)}")
        elif name == "outputs" and equals:
            words.outputs = Path(value).expanduser()
        elif name == "store.path" and equals:
            raise StormError(f"{word}: it reproduces in a store of its own; --in DIR says where")
        elif (equals and not _is_place(word)) or word.startswith("~"):
            words.overrides.append(_single(word))
        else:
            names.append(word)
    if len(names) != 1:
        given = ", ".join(names) or "nothing"
        raise StormError(
            f"reproduce takes one RUN, CARD or recipe.lock.json, and was given {given}"
        )
    words.what = names[0]
    return words


def _is_place(word: str) -> bool:
    """Return whether a word is a file or folder, or that of a cell that is not there."""
    return Path(word).exists() or Path(word.partition("=")[0]).parent.name == "cells"


def _folder(value: str) -> Path:
    if not value:
        raise StormError("reproduce --in: give a folder")
    folder = Path(value).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise StormError(f"reproduce --in {value}: this is a file: give a folder")
    return folder


def _single(word: str) -> str:
    """Return an override; raises StormError for one with several values."""
    try:
        several = OverridesParser.create().parse_override(word).is_sweep_override()
    except HydraException:  # which is told when the recipe is composed
        several = False
    if several:
        raise StormError(
            f"reproduce {word}: give one value, which takes the place of the recorded one"
        )
    return word


def read_margin(verb: str, value: str) -> float:
    """Return the margin of an equivalence test; raises StormError for one that cannot be."""
    try:
        margin = float(value)
    except ValueError:
        margin = 0.0
    if not 0 < margin < 1:
        raise StormError(f"{verb} --margin {value}: give a difference of scores above 0, below 1")
    return margin
