"""The command line of `compare`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from storm_evaluation.reproduction.scores import MARGIN
from storm_evaluation.reproduction.words import read_margin
from storm_exp import StormError, did_you_mean

_FLAGS = ("--margin", "--json")


@dataclasses.dataclass
class Words:
    """What is to be compared, and how."""

    names: list[str] = dataclasses.field(default_factory=list)
    outputs: Path = Path("outputs")
    margin: float = MARGIN


def read_words(arguments: Sequence[str]) -> Words:
    """Read a command line; raises StormError for one that means nothing here."""
    words, waiting = Words(), iter(arguments)
    for word in waiting:
        name, equals, value = word.partition("=")
        if name == "--margin":
            words.margin = read_margin("compare", value if equals else next(waiting, ""))
        elif name == "outputs" and equals:
            words.outputs = Path(value).expanduser()
        elif word.startswith("-") and word != "--json":
            raise StormError(f"compare {word}: no such flag{did_you_mean(word, _FLAGS)}")
        elif word != "--json":
            words.names.append(word)
    if len(words.names) != 2:
        given = ", ".join(words.names) or "nothing"
        raise StormError(f"compare takes two runs, cells or artifacts, and was given {given}")
    return words
