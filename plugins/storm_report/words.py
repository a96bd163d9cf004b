"""The words behind a verb: its action, flags, settings of places, and the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storm_exp import Answer, StormError, did_you_mean

JSON_FLAG = "--json"
OUTPUTS, STORE = "outputs", "store.path"


@dataclass
class Words:
    """A verb's command line."""

    verb: str
    action: str
    names: list[str]
    flags: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)

    @property
    def outputs(self) -> Path:
        """The folder of runs."""
        return Path(self.values.get(OUTPUTS, "outputs")).expanduser()

    @property
    def store(self) -> Path:
        """The folder of the store."""
        return Path(self.values.get(STORE, self.outputs / "store")).expanduser()

    def answer(
        self,
        items: list[dict[str, Any]],
        lines: list[str],
        notes: Sequence[str] = (),
        error: str = "",
    ) -> int:
        """Print what was found; return the exit code, 1 with an error."""
        answer = Answer(f"{self.verb} {self.action}", items, lines, list(notes), error)
        return answer.print([*self.flags])


def read_words(
    verb: str, arguments: Sequence[str], actions: Mapping[str, Sequence[str]], first: str
) -> Words:
    """Read the words behind a verb; `actions` names the flags of each action.

    A flag that ends in `=` takes a value. Raises StormError for words that mean nothing here.
    """
    words = Words(verb, "", [])
    waiting = iter(arguments)
    for word in waiting:
        name, equals, value = word.partition("=")
        if name in (OUTPUTS, STORE) and equals:
            words.values[name] = value
        elif not word.startswith("-"):
            words.names.append(word)
        elif equals:
            words.values[name] = value
        elif any(f"{word}=" in flags for flags in actions.values()):
            words.values[word] = next(waiting, "")
        else:
            words.flags.add(word)
    words.action = words.names.pop(0) if words.names else first
    if words.action not in actions:
        near = did_you_mean(words.action, actions)
        meant = near if "did you mean" in near else ""
        there = ", ".join(actions)
        raise StormError(f"{verb} {words.action}: no such action{meant} (there are {there})")
    known = {JSON_FLAG, *(flag.rstrip("=") for flag in actions[words.action])}
    for flag in (*words.flags, *words.values):
        if flag.startswith("-") and flag not in known:
            near = did_you_mean(flag, known)
            raise StormError(f"{verb} {words.action} {flag}: no such flag{near}")
    return words
