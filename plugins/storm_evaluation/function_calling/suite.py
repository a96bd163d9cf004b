"""A suite of questions to be answered by calls, in the file format of the Berkeley leaderboard."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from storm_evaluation.function_calling.checker import Accepted, Function
from storm_evaluation.function_calling.suite_form import check_accepted, check_question
from storm_exp import InputError, SettingError, did_you_mean

ANSWERS = "possible_answer"
"""Folder of the answers, with a file of the same name for each file of questions."""
_BERKELEY = "BFCL_v4_"


class Expected(Enum):
    """The expected answer to a category's questions."""

    calls = "calls"
    """The calls listed in the file of answers."""
    nothing = "nothing"
    """No call: no tool is suitable, or a required argument is missing."""
    something = "something"
    """Any call; its contents are not checked."""


@dataclasses.dataclass(frozen=True)
class Question:
    """A question, the functions offered with it, and the accepted calls."""

    id: str
    messages: list[dict[str, str]]
    functions: list[Function]
    accepted: list[Accepted] | None
    """None if the category expects no particular calls."""


class Suite:
    """A folder with `CATEGORY.json` or `BFCL_v4_CATEGORY.json`, and answers in `possible_answer`.

    A line is {id, question: [messages], function: [functions]}, one of the answers {id,
    ground_truth: [{NAME: {ARGUMENT: [values]}}]}.
    """

    def __init__(self, directory: Path) -> None:
        """Use a folder; files are read when needed."""
        self.directory = directory

    def categories(self) -> list[str]:
        """Return the categories of the folder."""
        return sorted(f.stem.removeprefix(_BERKELEY) for f in self.directory.glob("*.json"))

    def check(self, categories: list[str]) -> None:
        """Raise SettingError for a category that the folder does not have."""
        known = self.categories()
        for category in categories:
            if category not in known:
                problem = f"{self.directory} has no such category" + did_you_mean(category, known)
                raise SettingError("categories", category, problem)

    def files(self, categories: list[str]) -> Iterator[Path]:
        """Yield the files that the categories' scores depend on."""
        for category in categories:
            file = self._file(category)
            yield file
            if (answers := self.directory / ANSWERS / file.name).is_file():
                yield answers

    def expected(self, category: str) -> Expected:
        """Return the expected answer to a category's questions; raises InputError if unknown."""
        if (self.directory / ANSWERS / self._file(category).name).is_file():
            return Expected.calls
        if category.endswith("irrelevance"):
            return Expected.nothing
        if category.endswith("relevance"):
            return Expected.something
        raise InputError(
            f"{self.directory}/{ANSWERS} has no answers to '{category}', and its name ends in "
            "neither irrelevance (no call is expected) nor relevance (any call is)"
        )

    def questions(self, category: str) -> list[Question]:
        """Return a category's questions in order; raises InputError for malformed ones."""
        file = self._file(category)
        expects_calls = self.expected(category) is Expected.calls
        accepted = _by_id(self.directory / ANSWERS / file.name) if expects_calls else {}
        questions = []
        for name, line in _by_id(file).items():
            if expects_calls and name not in accepted:
                raise InputError(f"{file}: {name!r} has no answer in {ANSWERS}")
            try:
                messages, functions = line["question"][0], line["function"]
                check_question(messages, functions)
                entries = accepted[name]["ground_truth"] if expects_calls else None
                if entries is not None:
                    check_accepted(entries, {function["name"] for function in functions})
            except (KeyError, TypeError, ValueError, IndexError) as error:
                problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
                raise InputError(f"{file}: {name!r} is malformed: {problem}") from error
            questions.append(Question(name, messages, functions, entries))
        if not questions:
            raise InputError(f"{file}: no questions")
        return questions

    def _file(self, category: str) -> Path:
        plain = self.directory / f"{category}.json"
        return plain if plain.is_file() else self.directory / f"{_BERKELEY}{category}.json"


def _by_id(file: Path) -> dict[str, dict[str, Any]]:
    """Return {id: line}; raises InputError for a line without an id, or with that of another."""
    lines: dict[str, dict[str, Any]] = {}
    for line in _lines(file):
        if "id" not in line:
            raise InputError(f"{file}: a line has no id: {str(line)[:80]}")
        name = str(line["id"])
        if name in lines:
            raise InputError(f"{file}: two lines have the id {name!r}")
        lines[name] = line
    return lines


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                content = json.loads(line)
                if not isinstance(content, dict):
                    raise InputError(f"{file}, line {number}: not a JSON object")
                yield content
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: {error}") from error
