"""The component `hub_chat`: several chat data sets of the hub, or folders, as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from storm_data.rows.chat import ChatFormat, ChatRows
from storm_data.rows.tool_form import ToolForm
from storm_data.sources.hub_source import HubSource
from storm_exp import component, setting
from storm_models.chat.tool_calls import CallSpelling


@component("dataset", "hub_chat", version=4, requires=("datasets", "pyarrow"), extra="evaluate")
class HubChat(HubSource):
    """Chat data sets from the hub or from folders, concatenated in one format.

    Rows may be in OpenAI's or ShareGPT's format, questions with answers, or preferences, whose
    chosen answer is used. Bad rows and duplicates, within and across sources, are rejected with
    their reason.
    """

    tool_form: ToolForm = ToolForm.template
    """template, storm (the card's prompt), storm_guidelines or parsed: how calls are written."""

    call_spelling: CallSpelling = setting(CallSpelling.json, neutral=CallSpelling.json)
    """json, python, json_name or python_name: how Storm's forms spell a call."""

    columns: ClassVar[list[str]] = ["id", "messages", "tools", "source"]

    def row_schema(self, fields: Mapping[str, str]) -> ChatRows:
        """Return the schema of rows."""
        return ChatRows(ChatFormat.auto, fields, self.tool_form, self.call_spelling)
