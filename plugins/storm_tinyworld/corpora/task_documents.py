"""The questions of the evaluation tasks: held-out examples, the same on every machine.

``python -m storm_tinyworld.corpora.task_documents FOLDER`` writes them as JSON lines; the copies in
``tasks/`` are committed, and a test compares them with what is generated.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from storm_tinyworld.skills.basic import DIFFICULTIES, Example, examples
from storm_tinyworld.skills.skill_registry import EVERY_FAMILY

DOCUMENTS = 240
"""Questions per task, a third of them at each difficulty."""


def task_examples(family: str) -> list[Example]:
    """Return the questions of a family, no instruction twice, difficulties in turn."""
    streams = [_distinct(family, difficulty) for difficulty in DIFFICULTIES]
    rounds = itertools.islice(zip(*streams, strict=True), DOCUMENTS // len(DIFFICULTIES))
    return list(itertools.chain.from_iterable(rounds))


def _distinct(family: str, difficulty: str) -> Iterator[Example]:
    draw = random.Random(f"task {family} {difficulty}")
    seen: set[str] = set()
    weights = {family: 1.0}, {difficulty: 1.0}
    for example in examples(draw, *weights, held_out=True, known=EVERY_FAMILY):
        if example.instruction not in seen:
            seen.add(example.instruction)
            yield example


def render(family: str) -> str:
    """Return a task's documents as JSON lines."""
    documents = (
        {
            "instruction": example.instruction,
            "response": example.response,
            "skill": example.skill,
            "difficulty": example.difficulty,
        }
        for example in task_examples(family)
    )
    return "".join(json.dumps(document) + "\n" for document in documents)


def write(folder: Path) -> None:
    """Write one file per family."""
    for family in EVERY_FAMILY:
        (folder / f"{family}.jsonl").write_text(render(family), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
