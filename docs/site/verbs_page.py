"""Pages of what is typed: verbs with their help, recipes and sweeps."""

from __future__ import annotations

from pathlib import Path

from storm_catalogue.option import Option, recipes, sweeps
from storm_exp import load_plugins
from storm_exp._run.verbs import VERBS
from storm_exp.testing import run

ABOUT = """\
# Recipes and sweeps

`storm-exp show recipe=NAME` draws one as a graph, `storm-exp plan recipe=NAME` says what it would
make.
"""


def verbs_page() -> str:
    """Return the help of all verbs."""
    lines = ["# Verbs", "", "What `storm-exp VERB --help` prints.", ""]
    verbs = {**VERBS, **load_plugins().verbs(VERBS)[0]}
    for name in sorted(verbs):
        about, _, more = run(Path.cwd(), name, "--help").out.partition("\n\n")
        lines += [f"## {name}", "", about, "", "```text", more.strip(), "```", ""]
    return "\n".join(lines)


def recipes_page() -> str:
    """Return lists of all recipes and sweeps."""
    listed = [*_listed("Recipes", recipes([])), *_listed("Sweeps", sweeps([]))]
    return "\n".join([ABOUT, *listed])


def _listed(title: str, options: list[Option]) -> list[str]:
    rows = [f"| `{option.words}` | {option.summary} |" for option in options]
    return [f"## {title}", "", "| | |", "|---|---|", *rows, ""]
