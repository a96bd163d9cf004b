"""How calls of tools are shown to a model: by its template, or written into the contents."""

from __future__ import annotations

import itertools
import json
from enum import Enum
from typing import Any

from storm_models.chat.conversation import Message

Tools = list[dict[str, Any]] | None


class ToolForm(Enum):
    """How the calls, tools and results of a chat are written."""

    template = "template"
    """As they are: the model's chat template shows them."""
    storm = "storm"
    """In Llama-3.1-Storm's form, as text that any template shows: the tools inside `<tools>` in the
    system's message, a call as `<tool_call>{"tool_name": …, "tool_arguments": {…}}</tool_call>`.
    Results, of which its card says nothing, are the user's, inside `<tool_response>`."""

    def written(self, messages: list[Message], tools: Tools = None) -> tuple[list[Message], Tools]:
        """Return messages, in the form of rows, and tools as they are to be shown."""
        if self is ToolForm.template:
            return messages, tools
        written = [_in_text(message) for message in _results_joined(messages)]
        return (_offered(written, tools) if tools else written), None


_INSTRUCTION = """You can call functions. The ones that there are:
<tools>{tools}</tools>

Answer with a line for each call that is needed, the name and the arguments inside tags:
<tool_call>{{"tool_name": <name>, "tool_arguments": <object>}}</tool_call>"""


def _in_text(message: Message) -> Message:
    if not message.get("tool_calls"):
        return message
    calls = [
        f"<tool_call>{_json({'tool_name': call['name'], 'tool_arguments': call['arguments']})}"
        "</tool_call>"
        for call in json.loads(message["tool_calls"])
    ]
    kept = {name: value for name, value in message.items() if name != "tool_calls"}
    said = [message["content"]] if message["content"].strip() else []
    return {**kept, "content": "\n".join([*said, *calls])}


def _results_joined(messages: list[Message]) -> list[Message]:
    """Write results as the user's turns, those of several calls as one."""
    joined: list[Message] = []
    for is_tool, turns in itertools.groupby(messages, key=lambda turn: turn["role"] == "tool"):
        if not is_tool:
            joined += turns
            continue
        results = (f"<tool_response>{turn['content']}</tool_response>" for turn in turns)
        joined.append({"role": "user", "content": "\n".join(results)})
    return joined


def _offered(messages: list[Message], tools: list[dict[str, Any]]) -> list[Message]:
    text = _INSTRUCTION.format(tools=_json([tool["function"] for tool in tools]))
    if messages and messages[0]["role"] == "system":
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{text}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
