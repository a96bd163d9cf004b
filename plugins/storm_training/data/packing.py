"""Packing examples into rows, and planning the steps that read them."""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

import numpy as np
import torch

from storm_training.data.token_sequences import TokenSequences

IGNORE_INDEX = -100
"""Label of a position that the loss ignores."""

Row = list[int]
Step = list[list[Row]]


class PackedBatch(NamedTuple):
    """Rows of packed sequences, as tensors [rows, length].

    `position_ids` restart at 0 with every sequence: without an attention mask and a cache,
    transformers isolates the sequences by them. `labels` are already shifted: labels[r, t] is the
    token that position t has to predict, or IGNORE_INDEX. `segment_ids` numbers the sequences of
    the whole batch, row by row; padding is -1.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    labels: torch.Tensor
    segment_ids: torch.Tensor
    examples: torch.Tensor
    """int64 [examples]: indices of the batch's examples in the data, in the order of their
    segments."""
    tokens: int
    """Number of tokens that are not padding."""
    targets: int
    """Number of labels that are not IGNORE_INDEX."""

    def to(self, device: torch.device) -> PackedBatch:
        """Return the batch on `device`."""
        return self._replace(
            input_ids=self.input_ids.to(device),
            position_ids=self.position_ids.to(device),
            labels=self.labels.to(device),
            segment_ids=self.segment_ids.to(device),
            examples=self.examples.to(device),
        )


class StepPlan:
    """Which examples are in each row of each forward pass of each optimiser step.

    Stored in flat arrays, a few bytes an example, so that millions of examples fit.
    """

    def __init__(self, batch_size: int, passes: int) -> None:
        """Plan steps of `passes` forward passes of `batch_size` rows."""
        self._batch_rows, self._step_rows = batch_size, batch_size * passes
        self._examples: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []
        self._steps: list[tuple[int, int, int]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> Step:
        epoch, first, last = self._steps[index]
        ends, examples = self._rows[epoch], self._examples[epoch]
        rows = [examples[ends[row] : ends[row + 1]].tolist() for row in range(first, last)]
        size = self._batch_rows
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def add_epoch(self, rows: list[Row]) -> None:
        """Append the steps that go through `rows` once."""
        epoch, size = len(self._rows), self._step_rows
        ends = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=ends[1:])
        self._rows.append(ends)
        self._examples.append(np.array([index for row in rows for index in row], dtype=np.int32))
        for first in range(0, len(rows), size):
            self._steps.append((epoch, first, min(first + size, len(rows))))

    def cut(self, steps: int) -> None:
        """Keep the first `steps` steps."""
        del self._steps[steps:]

    def examples(self) -> int:
        """Return how many examples the steps read, repetitions included."""
        return sum(
            int(self._rows[epoch][last] - self._rows[epoch][first])
            for epoch, first, last in self._steps
        )


def pack(lengths: np.ndarray, order: np.ndarray, capacity: int) -> list[Row]:
    """Return rows of example indices, each with at most `capacity` tokens.

    Best fit: examples are taken in the given order, each into the row that it leaves fullest.
    Empty examples are left out. Raises ValueError for an example longer than `capacity`.
    """
    rows: list[Row] = []
    open_rows: list[list[int]] = [[] for _ in range(capacity + 1)]
    spaces = 0  # bit n: some row has space for n more tokens
    for index in order.tolist():
        length = int(lengths[index])
        if length == 0:
            continue
        if length > capacity:
            raise ValueError(f"example {index} has {length} tokens, a row holds {capacity}")
        fitting = spaces >> length
        if fitting:
            space = length + (fitting & -fitting).bit_length() - 1
            row = heapq.heappop(open_rows[space])
            if not open_rows[space]:
                spaces ^= 1 << space
        else:
            space, row = capacity, len(rows)
            rows.append([])
        rows[row].append(index)
        if space > length:
            heapq.heappush(open_rows[space - length], row)
            spaces |= 1 << (space - length)
    return rows


def plan_steps(
    lengths: np.ndarray,
    *,
    steps: int | None,
    epochs: float,
    sequence_length: int,
    batch_size: int,
    passes: int,
    seed: int,
) -> StepPlan:
    """Return, for every optimiser step, its forward passes, each a list of packed rows.

    `lengths` are the tokens of every example; a row holds `sequence_length` tokens, a pass
    `batch_size` rows, and an optimiser step `passes` passes. The plan has `steps` steps or, where
    that is None, those of `epochs`. Each epoch is shuffled and packed anew, and holds every example
    once. The result depends on the arguments alone, so a resumed run goes on at a step's index.
    """
    plan = StepPlan(batch_size, passes)
    if not lengths.any():
        return plan
    epoch = 0
    while steps > len(plan) if steps else epoch < epochs:
        generator = np.random.default_rng([seed, epoch])
        rows = pack(lengths, generator.permutation(len(lengths)), sequence_length)
        rows = [rows[index] for index in generator.permutation(len(rows))]
        before = len(plan)
        plan.add_epoch(rows)
        if not steps and epochs - epoch < 1:
            plan.cut(before + math.ceil((len(plan) - before) * (epochs - epoch)))
        epoch += 1
    if steps:
        plan.cut(steps)
    return plan


def build_batch(sequences: TokenSequences, rows: list[Row]) -> PackedBatch:
    """Return the batch of some rows, padded to the longest of them.

    Padding is told apart by position, never by token id: it has no label and a segment of its own.
    The first token of a sequence is no label.
    """
    contents = [[pair for index in row for pair in sequences.example(index)] for row in rows]
    widths = [sum(len(tokens) for tokens, _ in row) for row in contents]
    width = max(widths)
    input_ids = np.zeros((len(rows), width), dtype=np.int64)
    position_ids = np.zeros_like(input_ids)
    labels = np.full_like(input_ids, IGNORE_INDEX)
    segment_ids = np.full_like(input_ids, -1)
    segment = 0
    for number, row in enumerate(contents):
        start = 0
        for tokens, loss_mask in row:
            end = start + len(tokens)
            input_ids[number, start:end] = tokens
            position_ids[number, start:end] = np.arange(len(tokens))
            labels[number, start : end - 1] = np.where(loss_mask[1:], tokens[1:], IGNORE_INDEX)
            segment_ids[number, start:end] = segment
            segment += 1
            start = end
        position_ids[number, start:] = np.arange(width - start)
    return PackedBatch(
        torch.from_numpy(input_ids),
        torch.from_numpy(position_ids),
        torch.from_numpy(labels),
        torch.from_numpy(segment_ids),
        torch.tensor([index for row in rows for index in row]),
        tokens=sum(widths),
        targets=int((labels != IGNORE_INDEX).sum()),
    )
