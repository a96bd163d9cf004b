"""Answers to a task's questions, which evaluations with another limit take over."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from storm_evaluation.harness.model_memos import ModelMemos
from storm_inference.batches import digest_of

_FILE = "answers.json"
_FIRST = 25
"""Questions of the first piece; each further one has as many as all before it."""


def piece_of(position: int) -> int:
    """Return the number of the piece in which a question is asked: 25, 25, 50, 100, …."""
    return (position // _FIRST).bit_length()


class KeptAnswers:
    """The answers of a model to one task, in pieces of questions that are asked together.

    A limit ends within a piece or with it: the pieces before are those of every larger limit. What
    is asked together does not depend on what is kept, so neither does the last bit of an answer.
    """

    def __init__(self, memos: ModelMemos, task: str, digest: str, keeps: bool) -> None:
        """`digest` is that of all on which answers depend, besides the model and the questions.

        Several workers may look for a piece. Only one of them `keeps` it.
        """
        self._memos, self._keeps = memos, keeps
        self._task, self._digest = task, digest
        self._positions: dict[int, int] = {}

    def take(self, order: Sequence[int]) -> None:
        """Have a limit take the documents in this order, and not in the task's.

        Documents are then numbered among those that are taken, in the task's order.
        """
        drawn = sorted(range(len(order)), key=order.__getitem__)
        self._positions = dict(enumerate(drawn))

    def answer(
        self,
        kind: str,
        requests: Sequence[Any],
        documents: Sequence[int],
        together: Callable[[Sequence[int]], list[Any]],
        advance: Callable[[int], None],
    ) -> list[Any]:
        """Return the answers to requests of a kind, which are JSON values as the answers are.

        `documents` are the numbers of the questions that they belong to. `together` returns the
        answers to the requests of some indices; `advance` is called with the number of those that
        are kept.
        """
        pieces: defaultdict[int, list[int]] = defaultdict(list)
        for index, document in enumerate(documents):
            pieces[piece_of(self._positions.get(document, document))].append(index)
        answers: dict[int, Any] = {}
        for _, indices in sorted(pieces.items()):
            digest = digest_of([[self._digest, kind], *(requests[index] for index in indices)])
            name = self._memos.name("answers", self._task, digest[:16])
            folder = self._memos.find(name)
            if folder is None:
                found = together(indices)
                if self._keeps:
                    self._memos.keep(name, functools.partial(_write, found))
            else:
                found = json.loads((folder / _FILE).read_text(encoding="utf-8"))
                advance(len(found))
            answers |= zip(indices, found, strict=True)
        return [answers[index] for index in range(len(requests))]


def _write(answers: list[Any], folder: Path) -> None:
    (folder / _FILE).write_text(json.dumps(answers), encoding="utf-8")
