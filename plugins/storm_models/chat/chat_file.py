"""The chat template, its arguments and its date in a checkpoint's files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Set
from pathlib import Path
from typing import Any

from storm_exp import InputError, SettingError
from storm_models.chat.settings import (
    ARGUMENTS,
    DATE,
    NONE,
    OWN,
    TURN_TOKENS,
    ChatSettings,
    check,
)
from storm_models.folder.files import CHAT_FILE, TEMPLATE_FILE
from storm_models.folder.json_file import read_json

_TOKENIZER_CONFIG = "tokenizer_config.json"


@dataclasses.dataclass(frozen=True)
class TemplateContext:
    """The variables that a chat template is rendered with, besides the chat."""

    arguments: dict[str, Any]
    date: str

    @classmethod
    def read(cls, directory: Path) -> TemplateContext:
        """Read a checkpoint's chat.json; raises InputError when it is damaged."""
        if not (directory / CHAT_FILE).is_file():
            return cls(dict(ARGUMENTS), DATE)
        content = read_json(directory / CHAT_FILE)
        arguments, date = content.get("arguments", {}), content.get("date", DATE)
        if not isinstance(arguments, dict) or not isinstance(date, str):
            raise InputError(f"{directory / CHAT_FILE}: expected {{arguments: {{…}}, date: text}}")
        try:
            check(NONE, arguments, date)
        except SettingError as error:
            raise InputError(f"{directory / CHAT_FILE}: {error}") from error
        return cls(arguments, date)

    def with_settings(self, settings: ChatSettings) -> TemplateContext:
        """Return a copy that the settings override."""
        section = settings.resolved()
        arguments = {**self.arguments, **section.arguments}
        return TemplateContext(arguments, self.date if section.date == OWN else section.date)


def write_chat_settings(directory: Path, settings: ChatSettings) -> None:
    """Write template, arguments and date of the settings into a checkpoint's files."""
    context = TemplateContext.read(directory).with_settings(settings)
    _write(directory / CHAT_FILE, dataclasses.asdict(context))
    if settings.resolved().template == OWN:
        return
    check_tokens(directory, settings)
    write_template(directory, settings.text())


def write_template(directory: Path, text: str | None) -> None:
    """Write a chat template into a checkpoint's files in place of its own; None: it has none."""
    config = directory / _TOKENIZER_CONFIG
    if config.is_file():
        content = read_json(config)
        if content.pop("chat_template", None) is not None:
            _write(config, content)
    if text is None:
        (directory / TEMPLATE_FILE).unlink(missing_ok=True)
    else:
        (directory / TEMPLATE_FILE).write_text(text, encoding="utf-8")


def check_tokens(directory: Path, settings: ChatSettings) -> None:
    """Raise SettingError for a template family whose tokens the checkpoint's tokenizer lacks."""
    file = directory / "tokenizer.json"
    if file.is_file() and settings.resolved().template in TURN_TOKENS:
        added = read_json(file).get("added_tokens") or []
        known = {str(token.get("content")) for token in added if isinstance(token, dict)}
        check_turn_tokens(known, settings)


def check_turn_tokens(known: Set[str], settings: ChatSettings) -> None:
    """Raise SettingError for a template family whose turn tokens are not among `known`.

    An answer would end in plain text, at which no inference engine stops.
    """
    template = settings.resolved().template
    missing = [token for token in TURN_TOKENS.get(template, ()) if token not in known]
    if missing:
        raise SettingError(
            "chat.template",
            template,
            f"the tokenizer has no token {missing[-1]}, so answers would end in plain text, where "
            "no engine stops; take a family that ends them with EOS: alpaca, llama2, mistral, "
            "solar, vicuna or zephyr",
        )


def _write(file: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    file.write_text(text, encoding="utf-8")
