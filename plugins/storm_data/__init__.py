"""Data sets of chats: files and hub repositories, read, checked and split."""

from __future__ import annotations

from storm_exp import hookimpl


@hookimpl
def storm_components() -> list[type]:
    """Return the sources of data."""
    from storm_data.chat_jsonl import ChatJsonl
    from storm_data.hub_chat import HubChat

    return [ChatJsonl, HubChat]
