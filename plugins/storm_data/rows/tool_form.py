"""How tools and calls are shown to a model: by its template, or as text in the contents."""

from __future__ import annotations

import itertools
import json
from enum import Enum
from typing import Any

from storm_data.rows.bad_row import BadRow
from storm_data.rows.tool_calls import CALLS
from storm_models.chat.conversation import Message, calls_text
from storm_models.chat.tool_calls import CallSpelling, MalformedCall, ToolCall, parse_answer
from storm_models.chat.tool_prompt import tool_prompt

Tools = list[dict[str, Any]] | None


class ToolForm(Enum):
    """How tools, calls and results of a chat are written."""

    template = "template"
    """Unchanged: the model's chat template writes them."""
    storm_card = "storm"
    """In Llama-3.1-Storm's format, as text that any template can write: the tools in the card's
    system prompt, a call as `<tool_call>{"tool_name": …, "tool_arguments": {…}}</tool_call>`.
    Results, which the card does not mention, are user turns in `<tool_response>`."""
    storm = "storm"
    """Short for storm_card."""
    storm_guidelines = "storm_guidelines"
    """The same with the prompt of Storm's evaluation: `[]` if no tool is suitable or a required
    argument is missing."""
    question = "question"
    """Unchanged and without tools: the chat itself describes the tools."""
    parsed = "parsed"
    """Calls in the contents, in any of Storm's spellings, are parsed; the template writes them."""

    def written(
        self,
        messages: list[Message],
        tools: Tools = None,
        spelling: CallSpelling = CallSpelling.json,
    ) -> tuple[list[Message], Tools]:
        """Return messages, in the format of rows, and tools for the chat template.

        Raises BadRow for a text with a malformed call that is to be parsed.
        """
        if self is ToolForm.template:
            return messages, tools
        if self is ToolForm.question:
            return messages, None
        if self is ToolForm.parsed:
            return [_from_text(message) for message in messages], tools
        written = [_in_text(message, spelling) for message in _results_joined(messages)]
        if not tools:
            return written, None
        text = tool_prompt(
            [tool["function"] for tool in tools],
            guidelines=self is ToolForm.storm_guidelines,
            spelling=spelling,
        )
        return _offered(written, text), None


def _in_text(message: Message, spelling: CallSpelling) -> Message:
    if not message.get("tool_calls"):
        return message
    calls = [
        ToolCall(call["name"], call["arguments"]).text(spelling)
        for call in json.loads(message["tool_calls"])
    ]
    kept = {name: value for name, value in message.items() if name != "tool_calls"}
    said = [message["content"]] if message["content"].strip() else []
    return {**kept, "content": "\n".join([*said, *calls])}


def _from_text(message: Message) -> Message:
    if message["role"] != "assistant" or message.get("tool_calls"):
        return message
    try:
        answer = parse_answer(message["content"])
    except MalformedCall as error:
        raise BadRow(CALLS, str(error)) from error
    if not answer.calls:
        return message
    calls = [{"name": call.name, "arguments": call.arguments} for call in answer.calls]
    return {**message, "content": answer.text, "tool_calls": calls_text(calls)}


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


def _offered(messages: list[Message], text: str) -> list[Message]:
    if messages and messages[0]["role"] == "system":
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{text}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]
