"""What a model that is made of several has of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storm_exp import StageContext
from storm_models.chat.files import ChatFacts
from storm_models.chat.stops import add_stops, read_stops
from storm_models.folder.files import TEMPLATE_FILE
from storm_models.folder.json_file import read_json


def inherit_chat(stage: StageContext, directory: Path, parents: Sequence[Path]) -> None:
    """Let a model in `directory`, whose files are the first parent's, stop where any parent does.

    `parents` are the parents' folders. The first one's template, arguments and date stay; where
    others have different ones, the stage says so.
    """
    stops = [token for parent in parents for token in read_stops(parent)]
    new = add_stops(directory, stops)
    if new:
        listed = ", ".join(map(str, new))
        stage.say(f"it stops where any of its models does: at the ids {listed} as well")
    first, *others = (_chat(parent) for parent in parents)
    differ = [number for number, chat in enumerate(others, start=2) if chat != first]
    if differ:
        stage.say(
            f"chats are rendered as for the first model: model {', '.join(map(str, differ))} has "
            "another template, other arguments or another date"
        )


def _chat(parent: Path) -> tuple[Any, ChatFacts]:
    """Return template, arguments and date, as the files have them."""
    file, config = (parent / name for name in (TEMPLATE_FILE, "tokenizer_config.json"))
    template = read_json(config).get("chat_template") if config.is_file() else None
    if file.is_file():
        template = file.read_text(encoding="utf-8")
    return template, ChatFacts.read(parent)
