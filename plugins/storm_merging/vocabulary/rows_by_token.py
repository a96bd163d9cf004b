"""A model's weights, with the rows of embedding and head in the order of a merge's tokens."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence

import torch

from storm_merging.parents.compatibility import Headers
from storm_merging.vocabulary.row_sources import RowSources
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.weights import Headers as WeightHeaders
from storm_models.checkpoint.weights import Weights, accumulator, pieces
from storm_models.families.architecture import EMBEDDING, HEAD

BY_TOKEN = (EMBEDDING, HEAD)
"""Matrices with a row for each token."""


class _Matrix:
    """The rows of one matrix: runs of a model's rows, blends of several, and padding."""

    def __init__(self, sources: RowSources) -> None:
        single = [rows[0] if len(rows) == 1 else (-1, 0) for rows in sources.rows]
        self.models, self.rows = torch.tensor(single).T
        self.blends = {place: rows for place, rows in enumerate(sources.rows) if len(rows) != 1}
        self.tokens, self.size = len(single), len(single) + sources.padding

    def runs(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield intervals of rows that lie next to each other in one model, or single blends."""
        models, rows = self.models[first:last], self.rows[first:last]
        ends = (rows.diff() != 1) | (models.diff() != 0) | (models[1:] < 0)
        bounds = [0, *(ends.nonzero().flatten() + 1).tolist(), len(rows)]
        for start, stop in itertools.pairwise(bounds):
            if stop > start:
                yield first + start, first + stop


class RowsByToken:
    """The weights of one of several models.

    Rows that it lacks are read from the others, blended in fp32 (fp64 for fp64 weights). A head
    that is asked of a model which ties it is its embedding.
    """

    def __init__(
        self, weights: Sequence[Weights], model: int, matrices: Mapping[str, RowSources]
    ) -> None:
        """`weights` are those of all models, `matrices` the rows of this one."""
        self._weights, self._own = weights, weights[model]
        self._matrices = {name: _Matrix(sources) for name, sources in matrices.items()}
        self.headers: WeightHeaders = with_rows(self._own.headers, matrices)
        self._means: dict[str, torch.Tensor] = {}

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the elements `start` to `stop` of a tensor, flat."""
        if name not in self._matrices:
            return self._own.read(name, start, stop)
        matrix, columns = self._matrices[name], self.headers[name][1][1]
        first, last = start // columns, -(-stop // columns)
        within = min(last, matrix.tokens)
        parts = [
            self._read_run(name, a, b, columns) for a, b in matrix.runs(min(first, within), within)
        ]
        if last > matrix.tokens:
            parts.append(self._mean(name, columns).repeat(last - max(first, matrix.tokens)))
        return torch.cat(parts)[start - first * columns : stop - first * columns]

    def _read_run(self, name: str, start: int, stop: int, columns: int) -> torch.Tensor:
        matrix = self._matrices[name]
        model, row = int(matrix.models[start]), int(matrix.rows[start])
        if model >= 0:
            return self._read_rows(model, name, row, stop - start, columns)
        if not matrix.blends[start]:
            return torch.zeros(columns)
        read = [
            self._read_rows(other, name, row, 1, columns) for other, row in matrix.blends[start]
        ]
        working = accumulator(*read)
        return torch.stack([each.to(working) for each in read]).mean(dim=0)

    def _read_rows(self, model: int, name: str, row: int, count: int, columns: int) -> torch.Tensor:
        weights = self._weights[model]
        stored = name if name in weights.headers else EMBEDDING
        return weights.read(stored, row * columns, (row + count) * columns)

    def _mean(self, name: str, columns: int) -> torch.Tensor:
        """Return the mean of the rows of all tokens."""
        if name not in self._means:
            tokens = self._matrices[name].tokens
            total = torch.zeros(columns, dtype=torch.float64)
            for start, stop in pieces(tokens * columns, columns):
                rows = self.read(name, start, stop).reshape(-1, columns)
                total += rows.sum(dim=0, dtype=torch.float64)
            self._means[name] = (total / tokens).float()
        return self._means[name]


class ModelByToken:
    """A checkpoint whose rows follow the tokens of a merge."""

    def __init__(
        self, models: Sequence[Checkpoint], place: int, matrices: Mapping[str, RowSources]
    ) -> None:
        """`matrices` holds the rows of the model at `place`, for each matrix that is merged."""
        self._models, self._place, self._matrices = models, place, matrices

    @contextlib.contextmanager
    def open_weights(self) -> Iterator[Weights]:
        """Open the tensors for reading in pieces."""
        with contextlib.ExitStack() as stack:
            weights = [stack.enter_context(model.open_weights()) for model in self._models]
            yield RowsByToken(weights, self._place, self._matrices)


def with_rows(
    headers: Mapping[str, tuple[str, tuple[int, ...]]], matrices: Mapping[str, RowSources]
) -> Headers:
    """Return headers with the rows of `matrices`; a head that is tied is like the embedding."""
    result = dict(headers)
    for name, sources in matrices.items():
        dtype, shape = headers.get(name, headers[EMBEDDING])
        result[name] = (dtype, (len(sources.rows) + sources.padding, *shape[1:]))
    return result
