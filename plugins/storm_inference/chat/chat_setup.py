"""The beginning of a conversation: the system prompt and the tools."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storm_data.rows.tool_form import ToolForm
from storm_exp import InputError
from storm_inference.chat.context import NoRoom
from storm_models.chat.conversation import Conversation
from storm_models.chat.template import UnusableChat

FORMS = [ToolForm.template.value, ToolForm.storm.value, ToolForm.storm_guidelines.value]
"""Values of `--tool-form`."""

PROBE = {"role": "user", "content": "Hello"}
"""A message that stands for the user's in a check of the template."""
_SHOWN = "does not show its tools"
_LONG = (
    " (Storm's prompt for tools has 650 characters and the tools: of the small models, "
    "base_model=smollm2_135m has room for it)"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChatSetup:
    """System prompt and tools of a chat."""

    system: str = ""
    tools: list[dict[str, Any]] | None = None
    """OpenAI's form: {type: function, function: {name, description, parameters}}."""
    form: ToolForm = ToolForm.template

    def around(self, messages: list[dict[str, Any]]) -> Conversation:
        """Return the conversation that has these messages after the system prompt."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        written, tools = self.form.written([*system, *messages], self.tools)
        return Conversation.of({"messages": written, "tools": json.dumps(tools) if tools else None})

    def remedy(self, reason: UnusableChat, check: Callable[[Conversation], None]) -> str:
        """Return advice for a chat that cannot start for a `reason`; empty if there is none.

        `check` raises UnusableChat for a chat that the model cannot be asked.
        """
        if isinstance(reason, NoRoom):
            return _LONG if self.tools and self.form is not ToolForm.template else ""
        if not self.tools or self.form is not ToolForm.template or _SHOWN not in str(reason):
            return ""
        instead = dataclasses.replace(self, form=ToolForm.storm)
        try:
            check(instead.around([PROBE]))
        except UnusableChat as other:
            return f"; nor can --tool-form storm show them in the system prompt: {other}{_LONG}"
        return "; --tool-form storm shows tools in the system prompt, with any template"


def read_chat_setup(system: str, tools: str | None, form: str) -> ChatSetup:
    """Return a chat's setup; raises InputError if the file `tools` is not a list of functions."""
    return ChatSetup(
        system=system,
        tools=_tools(Path(tools)) if tools is not None else None,
        form=ToolForm(form),
    )


def _tools(file: Path) -> list[dict[str, Any]]:
    """Return the functions in a file, which are bare or in OpenAI's form."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--tools {file}: is not readable as JSON ({error})") from error
    tools: list[dict[str, Any]] = []
    names = set[str]()
    for entry in content if isinstance(content, list) else [None]:
        function = entry.get("function", entry) if isinstance(entry, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise InputError(
                f"--tools {file}: should be a list of functions, "
                '[{"name": …, "description": …, "parameters": {…}}]'
            )
        if function["name"] in names:
            raise InputError(f"--tools {file}: two functions have the name '{function['name']}'")
        names.add(function["name"])
        tools.append({"type": "function", "function": function})
    if not tools:
        raise InputError(f"--tools {file}: the list is empty")
    return tools
