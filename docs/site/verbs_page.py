"""Pages of what is typed: verbs with their help, recipes and sweeps."""

from __future__ import annotations

import inspect
import textwrap

from storm_catalogue.option import Option, recipes, sweeps
from storm_exp import load_plugins
from storm_exp._run.verbs import VERBS

ABOUT = """\
# Recipes and sweeps

`storm-exp show recipe=NAME` draws one as a graph, `storm-exp plan recipe=NAME` says what it would
make.
"""


def verbs_page() -> str:
    """Return the help of all verbs."""
    lines = ["# Verbs", "", "What `storm-exp VERB --help` prints.", ""]
    verbs = {**VERBS, **load_plugins().verbs(VERBS)[0]}
    for name, verb in sorted(verbs.items()):
        about, _, more = (inspect.getdoc(verb) or "").partition("\n\n")
        lines += [f"## {name}", "", about, "", textwrap.indent(more, "    "), ""]
    return "\n".join(lines)


def recipes_page() -> str:
    """Return lists of all recipes and sweeps."""
    listed = [*_listed("Recipes", recipes([])), *_listed("Sweeps", sweeps([]))]
    return "\n".join([ABOUT, *listed])


def _listed(title: str, options: list[Option]) -> list[str]:
    rows = [f"| `{option.words}` | {option.summary} |" for option in options]
    return [f"## {title}", "", "| | |", "|---|---|", *rows, ""]
