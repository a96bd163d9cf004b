"""The component `chat_jsonl`: a file of chats, a JSON object per line or one JSON list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from storm_data.rows.chat import ChatFormat, ChatRows
from storm_data.rows.tool_form import ToolForm
from storm_data.sources.jsonl_source import JsonlSource
from storm_exp import component, setting
from storm_models.chat.tool_calls import CallSpelling


@component("dataset", "chat_jsonl", version=4)
class ChatJsonl(JsonlSource):
    """Chats from a JSONL file, split into train and validation; bad rows are rejected.

    Rows hold OpenAI's `messages`, ShareGPT's `conversations`, or a question and its answer, and
    optionally `tools`, an `id` and a `source`. A bad row is rejected with its line number and
    reason, and so is a row whose content or id came before, so that no row is in two splits. Unused
    fields with content are counted.
    """

    format: ChatFormat = ChatFormat.auto
    """auto, openai, sharegpt, preference or question."""

    tool_form: ToolForm = ToolForm.template
    """template, storm (the card's prompt), storm_guidelines or parsed: how calls are written."""

    call_spelling: CallSpelling = setting(CallSpelling.json, neutral=CallSpelling.json)
    """json, python, json_name or python_name: how Storm's forms spell a call."""

    source: str = "chat"
    """The source of rows that do not name one."""

    columns: ClassVar[list[str]] = ["id", "messages", "tools", "source"]

    def row_schema(self, fields: Mapping[str, str]) -> ChatRows:
        """Return the schema of rows."""
        return ChatRows(self.format, fields, self.tool_form, self.call_spelling)
