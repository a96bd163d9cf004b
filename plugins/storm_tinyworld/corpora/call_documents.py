"""The miniature's suite of function calls: the tools' held-out questions, in Berkeley's form.

``python -m storm_tinyworld.corpora.call_documents FOLDER`` writes it; the copy in
``function_calls/`` is committed, and a test compares it with what is generated. Questions say
themselves which tools there are, as the miniature's models have learnt it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storm_models.chat.tool_calls import parse_answer
from storm_tinyworld.corpora.task_documents import task_examples
from storm_tinyworld.skills.basic import EASY, TOOLS, Example

_OFFERED = re.compile(r"<tools>(.*)</tools>")
_DECLARED = re.compile(r"(\w+)\((.*)\)")
_NOTHING = "irrelevance"
"""Ends the name of a category in which no call is right."""

Line = dict[str, Any]


def suite() -> dict[str, str]:
    """Return the files of the suite by name, questions and answers."""
    questions: dict[str, list[Line]] = {}
    answers: dict[str, list[Line]] = {}
    for category, example in call_examples():
        own = questions.setdefault(category, [])
        name = f"{category}_{len(own)}"
        message = {"role": "user", "content": example.instruction}
        functions = _functions(example.instruction)
        own.append({"id": name, "question": [[message]], "function": functions})
        if not category.endswith(_NOTHING):
            (call,) = parse_answer(example.response).calls
            values = {argument: [value] for argument, value in call.arguments.items()}
            truth = [{call.name: values}]
            answers.setdefault(category, []).append({"id": name, "ground_truth": truth})
    files = {f"{category}.json": lines for category, lines in questions.items()}
    files |= {f"possible_answer/{category}.json": lines for category, lines in answers.items()}
    return {
        name: "".join(json.dumps(line) + "\n" for line in lines) for name, lines in files.items()
    }


def call_examples() -> Iterator[tuple[str, Example]]:
    """Yield the questions with their categories."""
    for example in task_examples("tools"):
        right = "simple" if example.difficulty == EASY else "multiple"
        yield _NOTHING if example.response == "[]" else right, example
    for example in task_examples("function_calling"):
        right = "missing_irrelevance" if example.response == "[]" else example.skill
        yield right, example


def _functions(instruction: str) -> list[Line]:
    """Return the tools that a question names, each with its arguments, which are all required."""
    match = _OFFERED.match(instruction)
    assert match is not None, instruction
    functions = []
    for tool in match.group(1).split(" "):
        declared = _DECLARED.fullmatch(tool)
        name = declared.group(1) if declared else tool
        arguments = declared.group(2).split(",") if declared else [TOOLS[name]]
        properties = {argument: {"type": "string"} for argument in arguments}
        parameters = {"type": "dict", "properties": properties, "required": arguments}
        functions.append({"name": name, "description": f"{name}.", "parameters": parameters})
    return functions


def write(folder: Path) -> None:
    """Write the suite's files."""
    for name, text in suite().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
