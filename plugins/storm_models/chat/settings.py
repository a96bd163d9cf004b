"""How chats are rendered for a model: settings of whatever yields a checkpoint from outside."""

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
"""Of a model that says nothing: an answer follows at once, without thoughts (Qwen3)."""
DATE = "2024-07-26"
"""Of a model that says nothing: no page or score depends on the day of its making."""

TURN_TOKENS = {
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "llama3": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "gemma": ("<start_of_turn>", "<end_of_turn>"),
    "phi3": ("<|user|>", "<|assistant|>", "<|end|>"),
}
"""What families need of a tokenizer; the others are text, and end answers with its EOS."""

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
"""What a rendering is called with for each chat, by the names of transformers."""
_DATED = {"date_string", "strftime_now"}

_FAMILIES = Path(__file__).parent / "families"


def families() -> list[str]:
    """Return the names of the templates that come with this package."""
    return sorted(file.stem for file in _FAMILIES.glob(f"*{SUFFIX}"))


@dataclasses.dataclass(kw_only=True)
class ChatSection:
    """The root section `chat`: what every stage starts from that yields a checkpoint."""

    template: str = OWN
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    date: str = OWN

    def __post_init__(self) -> None:
        """Check the values; raises SettingError."""
        check(self.template, self.arguments, self.date)


@dataclasses.dataclass(kw_only=True)
class ChatSettings:
    """Template, its arguments and its date. They go into the checkpoint's files."""

    template: str = setting(II("chat.template"), semantic=False)
    """own (the model's, if it has one), none, the name of a family (chatml, llama3, zephyr, …) or a
    .jinja file."""
    arguments: dict[str, Any] = setting(II("chat.arguments"))
    """What the template is given besides the chat, over what the model's own files say."""
    date: str = setting(II("chat.date"))
    """The day that templates take for today, such as 2024-07-26; own: that of the model's files."""

    def __post_init__(self) -> None:
        """Check the values; raises SettingError."""
        given = self.given()
        check(given.template, given.arguments, given.date, "chat.")

    def given(self) -> ChatSection:
        """Return the values, the section's first ones where there is no recipe that has any.

        Components that Python calls have no recipe: there the interpolations stand as they are,
        and so they do where a recipe is composed, to be resolved later.
        """
        given = ChatSection()
        for field in dataclasses.fields(given):
            value = getattr(self, field.name)
            if value != f"${{chat.{field.name}}}":
                setattr(given, field.name, value)
        return given

    def text(self) -> str | None:
        """Return the template that is put in place of the model's own; None where none is.

        Raises SettingError for a file that cannot be read.
        """
        template = self.given().template
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
        """Return what the key has of the template: its text's digest, not its place."""
        template, text = self.given().template, self.text()
        if template.endswith(SUFFIX):
            return files.digest(existing_path("chat.template", template))
        return template if text is None else value_digest(text)


def check(template: str, arguments: dict[str, Any], date: str, within: str = "") -> None:
    """Raise SettingError for what cannot work; `within` stands before the settings' names."""
    known = [OWN, NONE, *families()]
    if template not in known and not template.endswith(SUFFIX):
        problem = f"must be {OWN}, {NONE}, a family or a {SUFFIX} file"
        raise SettingError(f"{within}template", template, problem + did_you_mean(template, known))
    for name in sorted((_GIVEN | _DATED) & set(arguments)):
        problem = "comes with the chat: it is no argument of a template"
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
