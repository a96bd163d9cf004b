"""The verb `reproduce`. What it needs is imported in it: this is imported with the plugin."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from itertools import count
from pathlib import Path

from storm_exp import Answer, StormError


def reproduce(arguments: list[str]) -> int:
    """Run again what was recorded, in a fresh store, and say whether it comes to the same.

    usage: storm-exp reproduce RUN | CARD | recipe.lock.json [setting=value …] [--margin 0.02]
           [--in DIR] [--json] [outputs=DIR]

    RUN is `latest`, a name, a folder, a part of a folder's name, or the folder of a single cell of
    a sweep or ablation (outputs/latest/cells/…); CARD is the folder of a model
    with its card, or the card. Everything is made anew in a folder below outputs/reproduced, or in
    DIR, where an interrupted one goes on. The answer is one of four verdicts: same bits, same
    within noise (scores within ± margin, paired by question), different from STAGE on, cannot say.
    The exit code is 0 for the first two. Settings are those of the record, or those given:
    `runtime.threads=1`, `dataset.path=FILE` for data that lie elsewhere now.

    for example:
        storm-exp reproduce latest
        storm-exp reproduce latest runtime.threads=1
    """
    from storm_evaluation.reproduction.find import find_original
    from storm_evaluation.reproduction.reproduction import compare
    from storm_evaluation.reproduction.rerun import rerun, write_recipes
    from storm_evaluation.reproduction.words import read_words

    words = read_words(arguments)
    original = find_original(words.what, words.outputs)
    folder = words.folder or new_folder(words.outputs, original.name)
    record, problem = None, "; ".join(original.lacking)
    if not problem:
        with contextlib.redirect_stdout(sys.stderr if words.json else sys.stdout):
            print(f"makes anew, in {os.path.relpath(folder)}, what {original.name} made")
            print(*(f"{note}\n" for note in original.notes), sep="", end="")
            try:
                recipes = write_recipes(folder, original.recipes)
                record = rerun([*words.overrides, *recipes], folder)
            except StormError as error:
                problem = str(error)
            except KeyboardInterrupt:
                again = shlex.join(["storm-exp", "reproduce", *arguments, "--in", str(folder)])
                print(f"it goes on with: {again}")
                raise
    found = compare(original, record, problem, words.margin)
    return Answer(
        "reproduce",
        [{"folder": str(folder), **found.to_json()}],
        found.lines(),
        notes=[f"folder       {os.path.relpath(folder)}"] if folder.is_dir() else [],
        error="" if found.verdict.reproduced else f"not reproduced: {found.verdict.text}",
    ).print(arguments)


def new_folder(outputs: Path, name: str) -> Path:
    """Return a new folder, `reproduced/<name>` below the outputs, numbered from the second on."""
    parent = outputs.absolute() / "reproduced"
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(parent / each for each in names if not (parent / each).exists())
