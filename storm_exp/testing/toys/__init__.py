"""A plugin that computes with numbers in JSON files, for tests: milliseconds a stage, no packages.

Its recipes are `sum`, a number, two sums and the sum of all three, and `each`, adders that map over
two numbers and a total that collects; its sweep is `amounts`.
"""

from __future__ import annotations

from pathlib import Path

from storm_exp import hookimpl
from storm_exp.testing.toys.adders import Add, Fussy, Slow, Weighted
from storm_exp.testing.toys.sources import Drawn, FromFile, Number, Word
from storm_exp.testing.toys.totals import Collect
from storm_exp.testing.toys.value import Text, Value, ValueSpec, write_value

__all__ = [
    "Add",
    "Collect",
    "Drawn",
    "FromFile",
    "Fussy",
    "Number",
    "Slow",
    "Text",
    "Value",
    "ValueSpec",
    "Weighted",
    "Word",
    "write_value",
]

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the components of this plugin."""
    return [Number, Drawn, FromFile, Word, Add, Weighted, Fussy, Slow, Collect]


@hookimpl
def storm_config_folder() -> str:
    """Return the folder with presets and recipes."""
    return str(Path(__file__).parent / "conf")
