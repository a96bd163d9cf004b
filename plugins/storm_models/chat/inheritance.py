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
    inherit_stops(stage, directory, [token for parent in parents for token in read_stops(parent)])
    compare_chats(stage, parents)


def inherit_stops(stage: StageContext, directory: Path, stops: Sequence[int]) -> None:
    """Make a merged model stop at these tokens as well, which the stage reports."""
    new = add_stops(directory, stops)
    if new:
        listed = ", ".join(map(str, new))
        stage.say(f"the merged model also stops at its other parents' stop tokens: ids {listed}")


def compare_chats(stage: StageContext, parents: Sequence[Path]) -> None:
    """Report parents that chat in another way than the first one, as the merged model does."""
    first, *others = (_chat(parent) for parent in parents)
    differ = [number for number, chat in enumerate(others, start=2) if chat != first]
    if differ:
        stage.warn(
            "chats are rendered with the first model's template, arguments and date, from which "
            f"those of model {', '.join(map(str, differ))} differ"
        )


def own_template(directory: Path) -> Any:
    """Return a model's chat template as its files have it, None without one.

    That of a file of its own comes before that of tokenizer_config.json, which may hold several.
    """
    file, config = (directory / name for name in (TEMPLATE_FILE, "tokenizer_config.json"))
    if file.is_file():
        return file.read_text(encoding="utf-8")
    return read_json(config).get("chat_template") if config.is_file() else None


def _chat(parent: Path) -> tuple[Any, TemplateContext]:
    """Return template, arguments and date, as the files have them."""
    return own_template(parent), TemplateContext.read(parent)
