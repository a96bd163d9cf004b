"""The chat format and stop tokens that a merged model takes from its parents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storm_exp import StageContext
from storm_models.chat.chat_file import TemplateContext
from storm_models.chat.stops import add_stops, read_stops
from storm_models.folder.files import TEMPLATE_FILE
from storm_models.folder.json_file import read_json


def inherit_chat(stage: StageContext, directory: Path, parents: Sequence[Path]) -> None:
    """Make a merged model stop at the stop tokens of every parent.

    `directory` holds the files of the first of the `parents` (their folders). Template, arguments
    and date stay those of the first parent; the stage reports parents whose own differ.
    """
    stops = [token for parent in parents for token in read_stops(parent)]
    new = add_stops(directory, stops)
    if new:
        listed = ", ".join(map(str, new))
        stage.say(f"the merged model also stops at its other parents' stop tokens: ids {listed}")
    first, *others = (_chat(parent) for parent in parents)
    differ = [number for number, chat in enumerate(others, start=2) if chat != first]
    if differ:
        stage.warn(
            "chats are rendered with the first model's template, arguments and date, from which "
            f"those of model {', '.join(map(str, differ))} differ"
        )


def _chat(parent: Path) -> tuple[Any, TemplateContext]:
    """Return template, arguments and date, as the files have them."""
    file, config = (parent / name for name in (TEMPLATE_FILE, "tokenizer_config.json"))
    template = read_json(config).get("chat_template") if config.is_file() else None
    if file.is_file():
        template = file.read_text(encoding="utf-8")
    return template, TemplateContext.read(parent)
