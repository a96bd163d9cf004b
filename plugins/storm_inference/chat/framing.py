"""What a conversation begins with: the system's words, and tools."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from storm_data.rows.tool_form import ToolForm
from storm_exp import InputError
from storm_models.chat.conversation import Conversation

FORMS = [ToolForm.template.value, ToolForm.storm.value, ToolForm.storm_guidelines.value]
"""How tools are shown, by the values of `tool_form`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Framing:
    """The same for every message of a chat."""

    system: str = ""
    tools: list[dict[str, Any]] | None = None
    """OpenAI's form: {type: function, function: {name, description, parameters}}."""
    form: ToolForm = ToolForm.template

    def around(self, messages: list[dict[str, Any]]) -> Conversation:
        """Return a conversation of messages that begins as it should."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        written, tools = self.form.written([*system, *messages], self.tools)
        return Conversation.of({"messages": written, "tools": json.dumps(tools) if tools else None})

    def remedy(self) -> str:
        """Return what to do where a template shows no tools; empty where there are none."""
        if not self.tools or self.form is not ToolForm.template:
            return ""
        return "; --tool-form storm puts tools into a system prompt, which any template shows"


def read_framing(system: str, tools: str | None, form: str) -> Framing:
    """Return what the command line says; raises InputError for a file that is no list of tools."""
    return Framing(
        system=system,
        tools=_tools(Path(tools)) if tools is not None else None,
        form=ToolForm(form),
    )


def _tools(file: Path) -> list[dict[str, Any]]:
    """Return the functions of a file, which may be bare, or in OpenAI's form."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--tools {file}: cannot be read as JSON ({error})") from error
    tools = []
    for entry in content if isinstance(content, list) else [None]:
        function = entry.get("function", entry) if isinstance(entry, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise InputError(
                f"--tools {file}: should be a list of functions, "
                '[{"name": …, "description": …, "parameters": {…}}]'
            )
        tools.append({"type": "function", "function": function})
    if not tools:
        raise InputError(f"--tools {file}: the list is empty")
    return tools
