"""Layout of several prompts as a prefix tree, so that their common prefix is computed once.

The prompts of a row form a tree: a shared prefix, then one branch each. They are laid out in one
sequence in which positions restart at every branch, and a token attends to the prefix and its own
branch, up to its position. The last tokens of all branches are at the end of the sequence, so that
the logits of interest are at the same positions in every row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

Tokens = Sequence[int]

PREFIX, PADDING = 0, -1


@dataclasses.dataclass(frozen=True)
class Layout:
    """A padded row: three lists of the same length."""

    input_ids: list[int]
    position_ids: list[int]
    branches: list[int]
    """PREFIX, the branch's number from 1, or PADDING."""


def shared_length(prompts: Sequence[Tokens]) -> int:
    """Return the length of the prompts' common prefix, without the last token of any prompt."""
    limit = min(len(prompt) for prompt in prompts) - 1
    first = prompts[0]
    for position in range(limit):
        if any(prompt[position] != first[position] for prompt in prompts):
            return position
    return limit


def tree_size(prompts: Sequence[Tokens], skip: int) -> int:
    """Return the number of tokens in the tree of `prompts`, without their first `skip`."""
    shared = shared_length(prompts)
    return shared - skip + sum(len(prompt) - shared for prompt in prompts)


def lay_out(prompts: Sequence[Tokens], skip: int, width: int) -> Layout:
    """Lay out a row's prompts in `width` tokens, without their first `skip`.

    `skip` is at most the shared length, and `width` at least the tree's size.
    """
    shared = shared_length(prompts)
    entries = [(prompts[0][i], i, PREFIX) for i in range(skip, shared)]
    for branch, prompt in enumerate(prompts, 1):
        entries += [(prompt[i], i, branch) for i in range(shared, len(prompt) - 1)]
    padding = width - len(entries) - len(prompts)
    assert skip <= shared and padding >= 0
    entries += [(0, 0, PADDING)] * padding
    for branch, prompt in enumerate(prompts, 1):
        entries.append((prompt[-1], len(prompt) - 1, branch))
    return Layout(*(list(column) for column in zip(*entries, strict=True)))


def batches(sizes: Sequence[int], rows: int, step: int) -> list[tuple[int, list[int]]]:
    """Return batches (width, indices of `rows` rows) of rows with the given sizes.

    Widths are multiples of `step`. A batch that is not full repeats its last row, so that all
    batches of a width have the same shape.
    """
    widths = [-(-size // step) * step for size in sizes]
    order = sorted(range(len(sizes)), key=lambda index: (widths[index], index))
    groups: list[tuple[int, list[int]]] = []
    for index in order:
        if groups and groups[-1][0] == widths[index] and len(groups[-1][1]) < rows:
            groups[-1][1].append(index)
        else:
            groups.append((widths[index], [index]))
    return [(width, batch + batch[-1:] * (rows - len(batch))) for width, batch in groups]
