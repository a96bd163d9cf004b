"""Packing sequences into rows, and the order in which training sees them."""

from __future__ import annotations

import bisect
import math
from typing import NamedTuple

import numpy as np
import torch

from storm_training.settings import TrainingSettings
from storm_training.token_sequences import TokenSequences

IGNORED = -100
"""Label of a position that the loss leaves out."""

Row = list[int]
Step = list[list[Row]]


class PackedBatch(NamedTuple):
    """Rows of packed sequences, as tensors [rows, length].

    `positions` restart at 0 with every sequence: given without an attention mask and without a
    cache, they are what isolates the sequences from each other in transformers. `labels` are
    already shifted: labels[r, t] is the token that position t has to predict, or IGNORED.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    labels: torch.Tensor
    tokens: int
    """How many of the tokens are no padding."""
    targets: int
    """How many labels are not IGNORED."""

    def to(self, device: torch.device) -> PackedBatch:
        """Return the batch on `device`."""
        ids, positions, labels = (tensor.to(device) for tensor in self[:3])
        return PackedBatch(ids, positions, labels, self.tokens, self.targets)


def pack(lengths: np.ndarray, order: np.ndarray, capacity: int) -> list[Row]:
    """Return rows of sequence indices, each with at most `capacity` tokens.

    Best fit in the given order: a sequence goes into the row that it leaves fullest. Raises
    ValueError for a sequence that no row can hold; empty sequences are left out.
    """
    rows: list[Row] = []
    open_rows: list[tuple[int, int]] = []
    for index in order.tolist():
        length = int(lengths[index])
        if length == 0:
            continue
        if length > capacity:
            raise ValueError(f"sequence {index} has {length} tokens, a row holds {capacity}")
        place = bisect.bisect_left(open_rows, (length, -1))
        if place < len(open_rows):
            space, row = open_rows.pop(place)
        else:
            space, row = capacity, len(rows)
            rows.append([])
        rows[row].append(index)
        if space > length:
            bisect.insort(open_rows, (space - length, row))
    return rows


def plan_steps(sequences: TokenSequences, settings: TrainingSettings) -> list[Step]:
    """Return for every optimiser step its forward passes, each a list of packed rows.

    A pure function of lengths, settings and seed: to resume is to go on at an index. Each
    epoch is shuffled and packed anew; every sequence appears exactly once in it.
    """
    lengths = sequences.lengths()
    if not lengths.any():
        return []
    steps: list[Step] = []
    epoch = 0
    while settings.steps > len(steps) if settings.steps else epoch < settings.epochs:
        generator = np.random.default_rng([settings.seed, epoch])
        rows = pack(lengths, generator.permutation(len(lengths)), settings.sequence_length)
        rows = [rows[index] for index in generator.permutation(len(rows))]
        new = _group(rows, settings)
        if not settings.steps and settings.epochs - epoch < 1:
            new = new[: math.ceil(len(new) * (settings.epochs - epoch))]
        steps += new
        epoch += 1
    return steps[: settings.steps] if settings.steps else steps


def _group(rows: list[Row], settings: TrainingSettings) -> list[Step]:
    passes = [
        rows[start : start + settings.batch_rows]
        for start in range(0, len(rows), settings.batch_rows)
    ]
    return [
        passes[start : start + settings.accumulation]
        for start in range(0, len(passes), settings.accumulation)
    ]


def build_batch(sequences: TokenSequences, rows: list[Row]) -> PackedBatch:
    """Return the tensors of some rows, padded to the longest of them.

    Padding is known by its place, never by its token: it has no label and is a sequence of its
    own. A sequence's first token is nobody's label.
    """
    offsets = sequences.offsets
    widths = [int(sum(offsets[index + 1] - offsets[index] for index in row)) for row in rows]
    width = max(widths)
    ids = np.zeros((len(rows), width), dtype=np.int64)
    positions = np.zeros_like(ids)
    labels = np.full_like(ids, IGNORED)
    for number, row in enumerate(rows):
        start = 0
        for index in row:
            tokens, supervised = sequences[index]
            end = start + len(tokens)
            ids[number, start:end] = tokens
            positions[number, start:end] = np.arange(len(tokens))
            labels[number, start : end - 1] = np.where(supervised[1:], tokens[1:], IGNORED)
            start = end
        positions[number, start:] = np.arange(width - start)
    return PackedBatch(
        torch.from_numpy(ids),
        torch.from_numpy(positions),
        torch.from_numpy(labels),
        tokens=sum(widths),
        targets=int((labels != IGNORED).sum()),
    )
