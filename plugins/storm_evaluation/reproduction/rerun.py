"""Running recorded recipes again, in a fresh store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storm_exp import compose_and_act
from storm_exp.report import RunRecord

CONF, HEADER = "conf", "# @package _global_\n# Written by storm-exp reproduce: a recorded run.\n"


def write_recipes(folder: Path, recipes: Sequence[dict[str, Any]]) -> list[str]:
    """Write recipes below `folder`; return the words that run them there.

    They are JSON, which is YAML, in files as anybody's recipes are: `-cd` finds them.
    """
    place = folder / CONF / "recipe"
    place.mkdir(parents=True, exist_ok=True)
    names = [f"cell_{number}" for number in range(1, len(recipes) + 1)]
    names = names if len(names) > 1 else ["reproduced"]
    for name, recipe in zip(names, recipes, strict=True):
        text = HEADER + json.dumps(recipe, indent=1) + "\n"
        (place / f"{name}.yaml").write_text(text, encoding="utf-8")
    words = [f"recipe={','.join(names)}"]
    words += [f"outputs={_quoted(folder)}", f"store.path={_quoted(folder / 'store')}"]
    return [*words, *(["-m"] if len(names) > 1 else []), "-cd", str(folder / CONF)]


def _quoted(path: Path) -> str:
    """Return a path as a value of Hydra's, which is not read as anything else."""
    return '"' + str(path).replace('"', '\\"') + '"'


def rerun(words: Sequence[str], folder: Path) -> RunRecord:
    """Run the recipes that were written to a folder; return the record of the run.

    Raises a StormError for what cannot run, or failed.
    """
    compose_and_act(list(words))
    return RunRecord.read((folder / "latest").resolve())
