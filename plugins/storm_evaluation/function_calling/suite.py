"""A suite of questions that calls answer: files in the form of the Berkeley leaderboard."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from storm_evaluation.function_calling.checker import Accepted, Function
from storm_exp import InputError, SettingError, did_you_mean

ANSWERS = "possible_answer"
"""The folder of answers, with a file of the same name for each file of questions."""
_BERKELEY = "BFCL_v4_"


class Expected(Enum):
    """What a category's questions are answered by."""

    calls = "calls"
    """The calls that the answers say."""
    nothing = "nothing"
    """No call: no tool fits, or a required argument is missing."""
    something = "something"
    """Any call: what it says is not looked at."""


@dataclasses.dataclass(frozen=True)
class Question:
    """One question, the functions that it offers, and the calls that are right."""

    id: str
    messages: list[dict[str, str]]
    functions: list[Function]
    accepted: list[Accepted] | None
    """None where the category does not say which calls."""


class Suite:
    """A folder with `CATEGORY.json` or `BFCL_v4_CATEGORY.json`, and answers in `possible_answer`.

    A line is {id, question: [messages], function: [functions]}, one of the answers {id,
    ground_truth: [{NAME: {ARGUMENT: [values]}}]}.
    """

    def __init__(self, directory: Path) -> None:
        """Take a folder; nothing is read yet."""
        self.directory = directory

    def categories(self) -> list[str]:
        """Return the categories that there are."""
        return sorted(f.stem.removeprefix(_BERKELEY) for f in self.directory.glob("*.json"))

    def check(self, categories: list[str]) -> None:
        """Raise SettingError for a category that the folder does not have."""
        known = self.categories()
        for category in categories:
            if category not in known:
                problem = f"{self.directory} has no such category" + did_you_mean(category, known)
                raise SettingError("categories", category, problem)

    def files(self, categories: list[str]) -> Iterator[Path]:
        """Yield what the categories' scores depend on."""
        for category in categories:
            file = self._file(category)
            yield file
            if (answers := self.directory / ANSWERS / file.name).is_file():
                yield answers

    def expected(self, category: str) -> Expected:
        """Return what the questions of a category are answered by; raises InputError."""
        if (self.directory / ANSWERS / self._file(category).name).is_file():
            return Expected.calls
        if category.endswith("irrelevance"):
            return Expected.nothing
        if category.endswith("relevance"):
            return Expected.something
        raise InputError(
            f"{self.directory}/{ANSWERS} has no answers to '{category}', and its name ends with "
            "neither irrelevance (no call is right) nor relevance (any call is)"
        )

    def questions(self, category: str) -> list[Question]:
        """Return the questions of a category in order; raises InputError for what is malformed."""
        file = self._file(category)
        answers: dict[str, Any] = {}
        if self.expected(category) is Expected.calls:
            lines = _lines(self.directory / ANSWERS / file.name)
            answers = {line["id"]: line["ground_truth"] for line in lines}
        found = []
        for line in _lines(file):
            name = line.get("id")
            if answers and name not in answers:
                raise InputError(f"{file}: {name!r} has no answer in {ANSWERS}")
            try:
                messages, functions = line["question"][0], line["function"]
                _check(messages, functions)
            except (KeyError, TypeError, IndexError) as error:
                raise InputError(f"{file}: {name!r} is malformed ({error})") from error
            found.append(Question(str(name), messages, functions, answers.get(str(name))))
        if not found:
            raise InputError(f"{file}: no questions")
        return found

    def _file(self, category: str) -> Path:
        plain = self.directory / f"{category}.json"
        return plain if plain.is_file() else self.directory / f"{_BERKELEY}{category}.json"


def _check(messages: Any, functions: Any) -> None:
    for message in messages:
        if not isinstance(message["role"], str) or not isinstance(message["content"], str):
            raise TypeError("a message whose role or content is no text")
    for function in functions:
        if not isinstance(function["name"], str) or not isinstance(function["parameters"], dict):
            raise TypeError("a function without a name or parameters")


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                content = json.loads(line)
                if not isinstance(content, dict):
                    raise InputError(f"{file}, line {number}: no object")
                yield content
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: {error}") from error
