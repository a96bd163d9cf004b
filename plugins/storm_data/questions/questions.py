"""The artifact of what evaluators ask: every question with its task, text and target."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from storm_exp import Artifact, InputError, Spec

_FILE, _SUMMARY = "questions.jsonl", "questions.json"


@dataclasses.dataclass(frozen=True)
class Question:
    """A question of an evaluator."""

    id: str
    """What an evaluation calls the question in its records, or what these begin with."""
    task: str
    text: str
    """The question as it is asked, without examples before it and without a chat template."""
    target: str = ""
    """The right answer as text; empty where there is none."""


@dataclasses.dataclass(kw_only=True)
class QuestionsSpec(Spec):
    """What is known of questions before they are read."""

    tasks: list[str] | None = None
    questions: int | None = None

    def agrees(self, field: str, planned: Any, made: Any) -> bool:
        """Return whether the tasks are the same, in whatever order."""
        if field == "tasks":
            return sorted(planned) == sorted(made)
        return super().agrees(field, planned, made)

    def summary(self) -> str:
        """Return, for example, `3 tasks, 720 questions`."""
        known = [(self.tasks and len(self.tasks), "task"), (self.questions, "question")]
        parts = [f"{n:,} {word}{'' if n == 1 else 's'}" for n, word in known if n is not None]
        return ", ".join(parts)


class Questions(Artifact):
    """`questions.jsonl` with a question per line, `questions.json` with their number per task."""

    spec_type = QuestionsSpec

    def questions(self) -> Iterator[Question]:
        """Yield the questions in the order in which they are asked."""
        with (self.directory / _FILE).open(encoding="utf-8") as stream:
            for line in stream:
                yield Question(**json.loads(line))

    def counts(self) -> dict[str, int]:
        """Return the number of questions of every task."""
        content = json.loads((self.directory / _SUMMARY).read_text(encoding="utf-8"))
        return dict(content["tasks"])

    def spec(self) -> QuestionsSpec:
        """Return the tasks and the number of questions."""
        counts = self.counts()
        return QuestionsSpec(tasks=list(counts), questions=sum(counts.values()))

    def write(self, questions: Iterable[Question]) -> dict[str, int]:
        """Write the questions and return their number per task.

        Raises InputError where there are none, where none has a text, and where two have one id.
        """
        counts: Counter[str] = Counter()
        known: set[str] = set()
        texts = 0
        with (self.directory / _FILE).open("w", encoding="utf-8") as stream:
            for question in questions:
                if question.id in known:
                    raise InputError(f"two questions have the id {question.id!r}")
                known.add(question.id)
                counts[question.task] += 1
                texts += bool(question.text.strip())
                line = json.dumps(dataclasses.asdict(question), ensure_ascii=False)
                stream.write(line + "\n")
        if not counts:
            raise InputError("there is no question")
        if not texts:
            raise InputError(f"none of the {len(known)} questions has a text")
        content = {"tasks": counts, "with_text": texts}
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (self.directory / _SUMMARY).write_text(text, encoding="utf-8")
        return dict(counts)


def numbered(names: Iterable[str]) -> list[str]:
    """Return the names, of which a repeated one is numbered: `a`, `b`, `a-2`."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return result


def text_digest(text: str) -> str:
    """Return the id of a question that has none: a digest of its text."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
