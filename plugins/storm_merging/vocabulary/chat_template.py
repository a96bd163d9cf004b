"""The chat template of a merge: that of most models, a family's, or a text."""

from __future__ import annotations

import collections
from collections.abc import Collection, Sequence
from pathlib import Path

from storm_exp import SettingError, did_you_mean
from storm_models.chat.chat_file import check_turn_tokens, write_template
from storm_models.chat.inheritance import own_template
from storm_models.chat.settings import ChatSettings, families

AUTO = "auto"
_SHORTEST = 20
"""Characters of a text that is taken for a template, as mergekit 0.1.5 has it."""


def check_chat_template(value: str, tokens: Collection[str] | None) -> None:
    """Raise SettingError for a template that is unknown, or does not fit the tokenizer.

    `tokens` are those that are matched before text is split; None: they are unknown.
    """
    if value in ("", AUTO):
        return
    if value in families():
        if tokens is not None:
            try:
                check_turn_tokens(set(tokens), ChatSettings(template=value))
            except SettingError as error:  # which names the section that other components have
                problem = str(error).partition(": ")[2]
                raise SettingError("chat_template", value, problem) from error
        return
    if len(value) < _SHORTEST or "{" not in value:
        known = [AUTO, *families()]
        problem = f"must be {', '.join(known)}, or a template's text"
        raise SettingError("chat_template", value, problem + did_you_mean(value, known))
    _check_syntax(value)


def chat_template(value: str, models: Sequence[Path]) -> str | None:
    """Return a template's text, None for that of the tokenizer's model.

    `auto` is the template that most of the models (their folders) have; of equally many, the first.
    """
    if value == AUTO:
        texts = [text.strip() for folder in models if (text := _default_template(folder))]
        return collections.Counter(texts).most_common(1)[0][0] if texts else None
    if value in families():
        return ChatSettings(template=value).text()
    return value or None


def write_chat_template(value: str, models: Sequence[Path], directory: Path) -> None:
    """Write the template into a merge's files, if it is not that of the tokenizer's model."""
    text = chat_template(value, models)
    if text is not None:
        write_template(directory, text)


def _default_template(directory: Path) -> str | None:
    template = own_template(directory)
    if isinstance(template, list):
        template = next((each["template"] for each in template if each["name"] == "default"), None)
    return template or None


def _check_syntax(text: str) -> None:
    from jinja2 import Environment, TemplateSyntaxError

    try:
        Environment(extensions=["jinja2.ext.loopcontrols"]).parse(text)
    except TemplateSyntaxError as error:
        if "unknown tag 'generation'" not in str(error):
            raise SettingError("chat_template", text, f"is no template: {error}") from error
