"""The component `jsonl`: the rows of a data set as JSONL."""

from __future__ import annotations

import json
from typing import Any

from storm_data.dataset import SPLITS, Dataset, DatasetSpec
from storm_exp import Artifact, SettingError, StageContext, component, setting
from storm_models.chat.conversation import WHOLE, Conversation

_MESSAGES = (WHOLE, "prompt", "chosen", "rejected")


class JsonlFiles(Artifact):
    """Rows as JSONL, a file per split: train.jsonl, validation.jsonl, rejected.jsonl."""

    spec_type = DatasetSpec
    shown_as = "JSONL"

    def spec(self) -> DatasetSpec:
        """Count the lines of each file."""
        counts = {}
        for file in sorted(self.directory.glob("*.jsonl")):
            with file.open("rb") as stream:
                counts[file.stem] = sum(1 for _ in stream)
        return DatasetSpec(splits={name: [count, count] for name, count in counts.items()})


@component("exporter", "jsonl", version=1)
class Jsonl:
    """Writes the rows of a data set as JSONL, which other trainers read too.

    Chats have OpenAI's `messages` and `tools`, preferences TRL's `prompt`, `chosen` and `rejected`
    as lists of messages, documents a `text`. `id`, `source` and all other columns that a row has a
    value in, such as why it was rejected, stand beside them.
    """

    swept = False

    splits: list[str] = setting(["train", "validation"], one_of=SPLITS)
    """The splits to write, of train, validation and rejected; those that the data lacks or that
    are empty are left out."""

    def plan_spec(self, data: DatasetSpec) -> DatasetSpec:
        """Return the counts of the splits; raises SettingError if none has a row."""
        if data.splits is None:
            return DatasetSpec()
        counts = {name: data.splits[name] for name in self.splits if name in data.splits}
        if not any(high for _, high in counts.values()):
            there = ", ".join(f"{name} {high}" for name, (_, high) in data.splits.items())
            problem = f"has no row; the splits of the data: {there or 'none'}"
            raise SettingError("splits", self.splits, problem)
        return DatasetSpec(splits={name: counts[name] for name in counts if counts[name][1]})

    def run(self, stage: StageContext, data: Dataset) -> JsonlFiles:
        """Write a file per split that has rows."""
        counts = {name: data.count(name) for name in dict.fromkeys(self.splits)}
        with stage.progress(sum(counts.values()), "rows") as progress:
            for name in filter(counts.get, counts):
                file = stage.directory / f"{name}.jsonl"
                # What UTF-8 cannot hold, half of a pair, is written as JSON's own escape.
                with file.open("w", encoding="utf-8", errors="backslashreplace") as stream:
                    for row in data.rows(name):
                        stream.write(json.dumps(jsonl_row(row), ensure_ascii=False) + "\n")
                        progress.advance()
        stage.metric("rows", sum(counts.values()), main=True)
        return JsonlFiles(stage.directory)


def jsonl_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a data set in the form of JSONL; columns without a value are left out."""
    columns = {name: value for name, value in row.items() if value is not None}
    for name in columns.keys() & set(_MESSAGES):
        conversation = Conversation.of(row, name)
        columns[name] = [
            _message(message, stored.get("weight"))
            for message, stored in zip(conversation.messages, row[name], strict=True)
        ]
    if row.get("tools"):
        columns["tools"] = json.loads(row["tools"])
    return columns


def _message(message: dict[str, Any], weight: float | None) -> dict[str, Any]:
    """Return a message in OpenAI's format, in which the arguments of a call are JSON text."""
    message = dict(message)
    if message.get("tool_calls"):
        message["tool_calls"] = [
            call | {"function": call["function"] | {"arguments": _text(call["function"])}}
            for call in message["tool_calls"]
        ]
    return message if weight is None else {**message, "weight": weight}


def _text(function: dict[str, Any]) -> str:
    return json.dumps(function["arguments"], ensure_ascii=False)
