"""The words behind a verb of the catalogue."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from storm_exp import InputError, did_you_mean

_INSTEAD = {"--as": "; a run's merge is said to mergekit by storm-exp mergekit RUN"}
"""Flags that another verb stands for."""


@dataclasses.dataclass(frozen=True)
class Words:
    """What was typed: names and overrides, flags, and folders of one's own (`-cd DIR`)."""

    plain: list[str]
    flags: set[str]
    own: list[str]


def read_words(verb: str, arguments: list[str], flags: tuple[str, ...] = ()) -> Words:
    """Return the words behind a verb; raises InputError for flags that it does not have."""
    known = ("--json", *flags)
    words = Words([], set(), [])
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in ("-cd", "--config-dir"):
            if not rest:
                raise InputError(f"{verb}: {word} takes a folder: {word} DIR")
            words.own.append(rest.pop(0))
            if not Path(words.own[-1]).is_dir():
                raise InputError(f"{verb}: there is no folder {words.own[-1]} ({word})")
        elif not word.startswith("-"):
            words.plain.append(word)
        elif word in known:
            words.flags.add(word)
        else:
            instead = _INSTEAD.get(word.partition("=")[0])
            near = instead or did_you_mean(word, (*known, "-cd"))
            raise InputError(f"{verb}: no flag '{word}'{near} (storm-exp {verb} --help)")
    return words
