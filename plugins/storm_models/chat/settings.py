"""Settings of the rendering of chats, for components that bring a checkpoint into a recipe."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Any

from omegaconf import II

from storm_exp import FileDigests, SettingError, did_you_mean, setting, value_digest
from storm_models.folder.existing_path import existing_path

OWN, NONE = "own", "none"
SUFFIX = ".jinja"

ARGUMENTS: dict[str, Any] = {"enable_thinking": False}
"""The default: an answer follows at once, without a thinking block (Qwen3)."""
DATE = "2024-07-26"
"""The default: no score depends on the day on which it is computed."""

TURN_TOKENS = {
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "llama3": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "gemma": ("<start_of_turn>", "<end_of_turn>"),
    "phi3": ("<|user|>", "<|assistant|>", "<|end|>"),
}
"""The tokens that template families need; the others write text and end answers with EOS."""

_GIVEN = {
    "messages",
    "conversations",
    "tools",
    "documents",
    "add_generation_prompt",
    "continue_final_message",
    "return_assistant_tokens_mask",
    "chat_template",
}
"""transformers' names of what each rendering passes to the template, besides arguments."""
_DATED = {"date_string", "strftime_now"}

_FAMILIES = Path(__file__).parent / "families"


def families() -> list[str]:
    """Return the names of the templates that come with this package."""
    return sorted(file.stem for file in _FAMILIES.glob(f"*{SUFFIX}"))


@dataclasses.dataclass(kw_only=True)
class ChatSection:
    """The root section `chat`: defaults for every stage that brings in a checkpoint."""

    template: str = OWN
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    date: str = OWN

    def __post_init__(self) -> None:
        """Check the values; raises SettingError."""
        check(self.template, self.arguments, self.date)


@dataclasses.dataclass(kw_only=True)
class ChatSettings:
    """The template, its arguments and its date, which are written to the checkpoint's files."""

    template: str = setting(II("chat.template"), semantic=False)
    """own (the model's, if it has one), none, the name of a family (chatml, llama3, zephyr, …) or a
    .jinja file."""
    arguments: dict[str, Any] = setting(II("chat.arguments"))
    """Variables of the template besides the chat; they override those of the model's files."""
    date: str = setting(II("chat.date"))
    """The date that templates show as today's, such as 2024-07-26; own: the model's own."""

    def __post_init__(self) -> None:
        """Check the values; raises SettingError."""
        values = self.resolved()
        check(values.template, values.arguments, values.date, "chat.")

    def resolved(self) -> ChatSection:
        """Return the values, with the section's defaults in place of unresolved interpolations.

        Interpolations are unresolved in components made in Python, without a recipe, and while a
        recipe is composed.
        """
        section = ChatSection()
        for field in dataclasses.fields(section):
            value = getattr(self, field.name)
            if value != f"${{chat.{field.name}}}":
                setattr(section, field.name, value)
        return section

    def text(self) -> str | None:
        """Return the template that replaces the model's own; None if none does.

        Raises SettingError for a file that cannot be read.
        """
        template = self.resolved().template
        if template in (OWN, NONE):
            return None
        file = _FAMILIES / f"{template}{SUFFIX}"
        if template.endswith(SUFFIX):
            file = existing_path("chat.template", template)
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(
                "chat.template", self.template, f"cannot be read ({error})"
            ) from None

    def fingerprint(self, files: FileDigests) -> str:
        """Return the digest of the template's text, which enters the key; its path does not."""
        template, text = self.resolved().template, self.text()
        if template.endswith(SUFFIX):
            return files.digest(existing_path("chat.template", template))
        return template if text is None else value_digest(text)


def check(template: str, arguments: dict[str, Any], date: str, within: str = "") -> None:
    """Raise SettingError for invalid values; `within` prefixes the settings' names."""
    known = [OWN, NONE, *families()]
    if template not in known and not template.endswith(SUFFIX):
        problem = f"must be {OWN}, {NONE}, a family or a {SUFFIX} file"
        raise SettingError(f"{within}template", template, problem + did_you_mean(template, known))
    for name in sorted((_GIVEN | _DATED) & set(arguments)):
        problem = "is passed with every chat and cannot be set as an argument"
        if name in _DATED:
            problem = f"is set by {within}date"
        raise SettingError(f"{within}arguments.{name}", arguments[name], problem)
    if date != OWN:
        try:
            written = datetime.date.fromisoformat(date).isoformat()
        except ValueError:
            written = ""
        if date != written:  # one day has one spelling, and so one key
            problem = f"must be a date such as {DATE}, or {OWN}"
            raise SettingError(f"{within}date", date, problem)
