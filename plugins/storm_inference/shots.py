"""Examples before a question: other rows of its task, with their answers, as earlier turns."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from storm_models.chat.conversation import Conversation

Message = dict[str, Any]
Row = Mapping[str, Any]

_PLAIN = [(role, {"role", "content"}) for role in ("user", "assistant")]
_KEPT = 64
"""Rows of a task that examples are drawn from, the first of the data."""


class Shots:
    """Draws the examples of a row. Which they are depends on the seed and the row's id alone."""

    def __init__(self, rows: Iterable[Row], count: int, task_column: str, seed: int) -> None:
        """Remember the first rows of every task that are one question with its answer, in text."""
        self._count, self._column, self._seed = count, task_column, seed
        self._pool: dict[str, list[tuple[str, list[Message]]]] = {}
        for row in rows if count else ():
            kept = self._pool.setdefault(str(row[task_column]), [])
            chat = Conversation.of(row)
            roles = [(m["role"], set(m)) for m in chat.messages]
            if len(kept) < _KEPT and roles == _PLAIN and chat.answers() == [1] and not chat.tools:
                kept.append((row["id"], chat.messages))

    def of(self, row: Row) -> list[Message]:
        """Return the turns of `count` examples, fewer where the task has not as many others."""
        if not self._count:
            return []
        others = [turns for key, turns in self._pool[str(row[self._column])] if key != row["id"]]
        draw = random.Random(f"shots {self._seed} {row['id']}")
        chosen = draw.sample(others, min(self._count, len(others)))
        return [turn for turns in chosen for turn in turns]


def put_before(turns: Sequence[Message], examples: Sequence[Message]) -> list[Message]:
    """Return a question's turns with examples before them, and a system's turn before all."""
    first = 1 if turns and turns[0]["role"] == "system" else 0
    return [*turns[:first], *examples, *turns[first:]]
