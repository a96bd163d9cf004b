"""Answers of verbs: lines for people, and one JSON object for programs (`--json`)."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import sys
from typing import Any


@dataclasses.dataclass
class Answer:
    """What a verb found, as items for programs and as lines for people."""

    verb: str
    items: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """One object of plain JSON values for each thing that was found."""
    lines: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    """What is to be known beside it, such as a plugin that could not be loaded."""
    error: str = ""

    def print(self, arguments: list[str]) -> int:
        """Print lines, notes and error; with `--json` among the arguments, an object instead.

        Its fields are the same for every verb: `storm_exp` (the version), `verb`, `items`, `notes`
        and `error`, which is empty if the command succeeded. It is ASCII, so that no character of
        the data acts on a terminal. Returns the exit code.
        """
        if "--json" in arguments:
            version = {"storm_exp": importlib.metadata.version("storm-exp")}
            shown = version | {name: value for name, value in vars(self).items() if name != "lines"}
            print(json.dumps(shown, indent=1))
        else:
            print(*(f"{line}\n" for line in [*self.lines, *self.notes]), sep="", end="")
            if self.error:
                print(f"error: {self.error}", file=sys.stderr)
        return 1 if self.error else 0
