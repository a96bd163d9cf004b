"""Few-shot examples: other rows of a question's task, with their answers, as earlier turns."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from storm_models.chat.conversation import Conversation

Message = dict[str, Any]
Row = Mapping[str, Any]

_PLAIN = [(role, {"role", "content"}) for role in ("user", "assistant")]
_POOL_ROWS = 64
"""Maximum number of rows of a task, the first in the data, that examples are drawn from."""


class Shots:
    """Draws the examples of a row; they depend only on the seed and the row's id."""

    def __init__(self, rows: Iterable[Row], count: int, task_column: str, seed: int) -> None:
        """Keep the first rows of every task that consist of one question and answer, in text."""
        self._count, self._column, self._seed = count, task_column, seed
        self._pool: dict[str, list[tuple[str, list[Message]]]] = {}
        for row in rows if count else ():
            pool = self._pool.setdefault(str(row[task_column]), [])
            chat = Conversation.of(row)
            roles = [(m["role"], set(m)) for m in chat.messages]
            if (
                len(pool) < _POOL_ROWS
                and roles == _PLAIN
                and chat.answers() == [1]
                and not chat.tools
            ):
                pool.append((row["id"], chat.messages))

    def of(self, row: Row) -> list[Message]:
        """Return the turns of `count` examples, or of all others if the task has fewer."""
        if not self._count:
            return []
        others = [turns for key, turns in self._pool[str(row[self._column])] if key != row["id"]]
        draw = random.Random(f"shots {self._seed} {row['id']}")
        chosen = draw.sample(others, min(self._count, len(others)))
        return [turn for turns in chosen for turn in turns]


def put_before(turns: Sequence[Message], examples: Sequence[Message]) -> list[Message]:
    """Return a question's turns with the examples before them, but after a system message."""
    first = 1 if turns and turns[0]["role"] == "system" else 0
    return [*turns[:first], *examples, *turns[first:]]
