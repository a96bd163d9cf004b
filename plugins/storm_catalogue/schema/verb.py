"""The verb `schema`: JSON schemas of components and recipes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.errors import HydraException

from storm_catalogue.option import Option, components, recipes
from storm_catalogue.schema.files import component_schema, recipe_schema
from storm_catalogue.words import Words, read_words
from storm_exp import Answer, InputError, StormError, did_you_mean, load_plugins
from storm_report.counted import counted

ALL, FOLDER = "all", "schemas"


def schema(arguments: list[str]) -> int:
    """Print the JSON schema of a component or recipe, or write all.

    usage: storm-exp schema NAME … [-cd DIR] [--json]
           storm-exp schema all [FOLDER] [-cd DIR] [--json]

    The schema (draft 2020-12) has the types, bounds, choices, defaults and descriptions of all
    settings. `all` writes component/NAME.json and recipe/NAME.json into FOLDER (default: schemas).
    With this first line an editor completes and checks a preset, the path being relative to it:

        # yaml-language-server: $schema=../../schemas/component/slerp.json

    for example:
        storm-exp schema slerp
        storm-exp schema recipe=storm
        storm-exp schema all schemas
    """
    words = read_words("schema", arguments)
    if not words.plain:
        raise InputError("schema NAME: give a component or a recipe, or all")
    known = [*components(), *recipes(words.own)]
    notes = [line.strip() for line in load_plugins().failures().strip().splitlines()]
    if words.plain[0] == ALL:
        return _write_all(known, words, notes).print(arguments)
    items = [item for word in words.plain for item in _find(word, known, words)]
    if "--json" in words.flags:
        return Answer("schema", items, notes=notes).print(arguments)
    for note in notes:
        print(note, file=sys.stderr)
    for item in items:
        print(json.dumps(item["schema"], indent=2, ensure_ascii=False))
    return 0


def _find(word: str, known: list[Option], words: Words) -> Iterator[dict[str, Any]]:
    """Yield the schemas that a name or `recipe=NAME` means; raises InputError for none."""
    found = [each for each in known if word in (each.name, each.words)]
    if not found:
        near = did_you_mean(word.rpartition("=")[2], [ALL, *(each.name for each in known)])
        failures = load_plugins().failures()
        raise InputError(f"no component or recipe is named '{word}'{near}{failures}")
    for option in found:
        schema = _schema(option, words)
        yield {"kind": option.kind, "name": option.name, "schema": schema}


def _write_all(known: list[Option], words: Words, notes: list[str]) -> Answer:
    """Write all schemas into a folder; name the recipes that cannot be composed."""
    folder = Path(words.plain[1] if len(words.plain) > 1 else FOLDER)
    items, refused = [], []
    for option in known:
        try:
            schema = _schema(option, words)
        except (StormError, HydraException) as error:
            reason = str(error).partition("\n")[0]
            refused.append(f"recipe={option.name} has no schema: {reason}")
            continue
        file = folder / option.kind / f"{option.name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{json.dumps(schema, indent=2, ensure_ascii=False)}\n", encoding="utf-8")
        items.append({"kind": option.kind, "name": option.name, "file": str(file)})
    line = f"{counted(len(items), 'schema')} in {folder}/component and {folder}/recipe"
    return Answer("schema", items, [line], [*notes, *refused])


def _schema(option: Option, words: Words) -> dict[str, Any]:
    if option.kind == "component":
        return component_schema(load_plugins().component(option.name))
    return recipe_schema(option, words.own)
