"""The component `question_file`: a file of questions, a JSON object per line or one JSON list."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from storm_data.questions.questions import (
    Question,
    Questions,
    QuestionsSpec,
    numbered,
    text_digest,
)
from storm_data.rows.bad_row import BadRow
from storm_data.sources.jsonl_source import parsed_rows
from storm_exp import FileDigests, InputError, SettingError, StageContext, component, setting
from storm_models.folder.existing_path import existing_path

_TEXTS = ("question", "text", "prompt", "instruction", "input")
_TARGETS = ("target", "answer", "response", "output")
_MOST_CHARACTERS = 10_000_000


@component("questions", "question_file", version=1)
class QuestionFile:
    """Questions from a JSONL file: objects with `question`, and optionally `id`, `task`, `target`.

    In place of `question` there may be `text`, `prompt`, `instruction` or `input`, in place of
    `target` also `answer`, `response` or `output`. A question without a text is kept, and counted
    by what searches for it; a line that is no object is an error.
    """

    path: str = setting(MISSING, semantic=False)
    """The file. Its contents enter the key, its path does not."""
    task: str = "questions"
    """The task of questions that do not name one."""

    def fingerprint(self, files: FileDigests) -> str:
        """Return the digest of the file."""
        return files.digest(self._file())

    def plan_spec(self) -> QuestionsSpec:
        """Return how many questions there are; raises SettingError for a file of another format."""
        self._file()
        return QuestionsSpec()

    def run(self, stage: StageContext) -> Questions:
        """Read the questions; raises InputError for a line that cannot be read."""
        read = list(self._read())
        names = numbered(name or text_digest(question.text) for name, question in read)
        made = Questions(stage.directory)
        counts = made.write(
            Question(name, question.task, question.text, question.target)
            for name, (_, question) in zip(names, read, strict=True)
        )
        empty = sum(not question.text.strip() for _, question in read)
        if empty:
            stage.warn(f"{empty} of {len(read)} questions have no text: nothing can be compared")
        stage.metric("questions", sum(counts.values()), main=True)
        return made

    def _read(self) -> Iterator[tuple[str, Question]]:
        """Yield the questions with the ids that they state."""
        for number, _, row in parsed_rows(self._file(), _MOST_CHARACTERS):
            if isinstance(row, BadRow):
                raise InputError(f"{self.path}, line {number}: {row.reason}: {row.detail}")
            name = "" if row.get("id") is None else str(row["id"])
            task = str(row.get("task") or self.task)
            yield name, Question(name, task, _first(row, _TEXTS), _first(row, _TARGETS))

    def _file(self) -> Path:
        from storm_data.files.jsonl import check_jsonl

        file = existing_path("path", self.path)
        check_jsonl("path", file)
        if not self.task:
            raise SettingError("task", self.task, "must name the task of the questions")
        return file


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the first of the fields that a row has, as text; empty where it has none."""
    value = next((row[name] for name in names if row.get(name) is not None), "")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
