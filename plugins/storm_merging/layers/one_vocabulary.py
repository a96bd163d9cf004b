"""Models with different vocabularies, read as if all had that of one of them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from storm_exp import InputError, StageContext
from storm_merging.parents.compatibility import Headers
from storm_models.chat.stops import add_stops, read_stops
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.weights import Headers as WeightHeaders
from storm_models.checkpoint.weights import Weights
from storm_models.families.architecture import EMBEDDING, HEAD
from storm_models.folder.tokenizer import read_tokens

_BY_TOKEN = (EMBEDDING, HEAD)
"""Matrices with a row for each token."""


def token_ids(directory: Path) -> dict[str, int]:
    """Return {token: id} of a model; raises InputError where its files do not list them."""
    tokens = read_tokens(directory)
    if tokens is None:
        raise InputError(
            f"{directory}: a sentencepiece model alone does not list its tokens here; save the "
            "tokenizer with a tokenizer.json"
        )
    return tokens.ids()


def vocabulary_size(ids: dict[str, int]) -> int:
    """Return the number of rows that a vocabulary needs."""
    return 1 + max(ids.values())


class RowsByToken:
    """A model's weights, with the rows of embedding and head in another model's order.

    A token that the model lacks gets the other one's row, as a tied head does its embedding's.
    """

    def __init__(self, weights: Weights, other: Weights, rows: Sequence[int]) -> None:
        """`rows` holds this model's row for every row of the other, -1 for one that it lacks."""
        self._weights, self._other = weights, other
        self._rows = torch.tensor(rows)
        self.headers: WeightHeaders = with_rows(weights.headers, len(rows))

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the elements `start` to `stop` of a tensor, flat."""
        if name not in _BY_TOKEN:
            return self._weights.read(name, start, stop)
        columns = self.headers[name][1][1]
        first, last = start // columns, -(-stop // columns)
        rows = self._rows[first:last]
        ends = ((rows.diff() != 1) | (rows[:-1] < 0) | (rows[1:] < 0)).nonzero().flatten() + 1
        bounds = [0, *ends.tolist(), len(rows)]
        parts = [
            self._read_rows(name, int(rows[a]), first + a, b - a, columns)
            for a, b in itertools.pairwise(bounds)
            if b > a
        ]
        return torch.cat(parts)[start - first * columns : stop - first * columns]

    def _read_rows(self, name: str, row: int, place: int, count: int, columns: int) -> torch.Tensor:
        """Return `count` rows from `row` on, or for row -1 the other model's from `place` on."""
        if row >= 0:
            return self._weights.read(name, row * columns, (row + count) * columns)
        source = name if name in self._other.headers else EMBEDDING
        filled = self._other.read(source, place * columns, (place + count) * columns)
        return filled.to(self._weights.read(name, 0, 1).dtype)


class InVocabulary:
    """A checkpoint whose weights are read in another one's vocabulary."""

    def __init__(self, model: Checkpoint, other: Checkpoint) -> None:
        """Read both vocabularies; raises InputError for tokens without rows."""
        self.model, self.other = model, other
        own, theirs = token_ids(model.directory), token_ids(other.directory)
        size = vocabulary_size(theirs)
        stored = model.headers()[EMBEDDING][1][0]
        self.rows = [-1] * size
        for token, place in theirs.items():
            row = own.get(token, -1)
            if row >= stored:
                raise InputError(f"{model.directory}: {EMBEDDING} has no row {row} for {token!r}")
            self.rows[place] = row
        self.missing = [token for token in theirs if token not in own]
        self.stops = [
            theirs[token]
            for stop in read_stops(model.directory)
            for token in (name for name, number in own.items() if number == stop)
            if token in theirs
        ]

    @property
    def unchanged(self) -> bool:
        """Whether every row stays where it is, and none is left out."""
        stored = self.model.headers()[EMBEDDING][1][0]
        return self.rows == list(range(stored))

    def headers(self) -> Headers:
        """Return {name: (dtype, shape)} in the other vocabulary."""
        return with_rows(self.model.headers(), len(self.rows))

    @contextlib.contextmanager
    def open_weights(self) -> Iterator[Weights]:
        """Open the tensors for reading in pieces."""
        with self.model.open_weights() as weights, self.other.open_weights() as other:
            yield RowsByToken(weights, other, self.rows)


def with_rows(headers: WeightHeaders, rows: int) -> Headers:
    """Return headers with so many rows of embedding and head."""
    return {
        name: (dtype, (rows, *shape[1:]) if name in _BY_TOKEN else tuple(shape))
        for name, (dtype, shape) in headers.items()
    }


def tell(stage: StageContext, views: Sequence[InVocabulary]) -> None:
    """Report which tokens got another model's rows, and keep the stop tokens of all models."""
    for number, view in enumerate(views, start=1):
        if view.missing:
            named = ", ".join(map(repr, sorted(view.missing)[:3]))
            stage.say(
                f"model {number} lacks {len(view.missing)} tokens ({named}, …), for which it has "
                "the rows of the tokenizer's model"
            )
    add_stops(stage.directory, [stop for view in views for stop in view.stops])
