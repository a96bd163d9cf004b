"""Writing of a Go template from a table of transitions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from storm_export.ollama.transitions import (
    ARGUMENTS,
    ASSISTANT,
    END,
    NAME,
    RESULT,
    START,
    SYSTEM,
    TOOL,
    USER,
    Transitions,
)
from storm_models.chat.conversation import Conversation


def go_form(transitions: Transitions) -> str:
    """Return a Go template of Ollama's values `.System`, `.Messages` and `.Tools`."""
    lines = [f"{{{{- $last := {_quoted(START)} }}}}"]
    table = transitions.table
    if transitions.calls_tools:
        lines += [
            "{{- if .Tools }}",
            "{{- if .System }}",
            *_write(table, SYSTEM, ".System"),
            "{{- end }}",
            "{{- range .Tools }}",
            *_write(table, TOOL, "json ."),
            "{{- end }}",
            "{{- end }}",
        ]
    lines.append("{{- range .Messages }}")
    skipped = 'and (eq .Role "system") $.Tools' if transitions.calls_tools else ""
    branches: list[tuple[str, list[str]]] = [(skipped, [])] if skipped else []
    for kind in (SYSTEM, USER):
        branches.append((f"eq .Role {_quoted(kind)}", _write(table, kind, ".Content")))
    if transitions.calls_tools:
        calls = [
            "{{- if .Content }}",
            *_write(table, ASSISTANT, ".Content"),
            "{{- end }}",
            "{{- range .ToolCalls }}",
            *_write(table, NAME, ".Function.Name"),
            *_write(table, ARGUMENTS, "json .Function.Arguments"),
            "{{- end }}",
        ]
        branches.append((f"and (eq .Role {_quoted(ASSISTANT)}) .ToolCalls", calls))
        branches.append((f"eq .Role {_quoted('tool')}", _write(table, RESULT, ".Content")))
    branches.append((f"eq .Role {_quoted(ASSISTANT)}", _write(table, ASSISTANT, ".Content")))
    for index, (condition, inside) in enumerate(branches):
        lines += [f"{{{{- {'else ' if index else ''}if {condition} }}}}", *inside]
    lines += ["{{- end }}", "{{- end }}", *_between(table, END)]
    return "\n".join(lines)


def go_values(chat: Conversation) -> dict[str, Any]:
    """Return the values with which Ollama renders a template for a chat."""
    messages = [
        {
            "Role": message["role"],
            "Content": message["content"],
            "ToolCalls": [
                {"Function": {"Name": f["name"], "Arguments": f["arguments"]}}
                for f in (call["function"] for call in message.get("tool_calls") or [])
            ],
        }
        for message in chat.messages
    ]
    system = [message["Content"] for message in messages if message["Role"] == SYSTEM]
    return {
        "System": "\n\n".join(system),
        "Messages": messages,
        "Tools": chat.tools or [],
    }


def _write(table: Mapping[tuple[str, str], str], kind: str, value: str) -> list[str]:
    """Return lines that write the text before a kind, then its value."""
    last = f"{{{{- $last = {_quoted(kind)} }}}}"
    return [*_between(table, kind), f"{{{{- {value} }}}}", last]


def _between(table: Mapping[tuple[str, str], str], kind: str) -> list[str]:
    lines: list[str] = []
    for before, text in ((before, text) for (before, to), text in table.items() if to == kind):
        branch = "else if" if lines else "if"
        lines.append(f"{{{{- {branch} eq $last {_quoted(before)} }}}}{{{{ {_quoted(text)} }}}}")
    return [*lines, "{{- end }}"] if lines else []


def _quoted(text: str) -> str:
    """Return a Go string literal; JSON's escapes are valid in Go."""
    return json.dumps(text, ensure_ascii=False)
