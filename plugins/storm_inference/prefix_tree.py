"""Several prompts as one prefix tree, so that their common beginning is computed once.

The prompts of a row are a tree: a prefix that all share, then a branch each. In one sequence,
with positions that restart where a branch leaves the prefix, a token may see the prefix and its own
branch, up to its own position. The last token of each branch stands at the end of the sequence,
branch by branch: so the positions whose logits are wanted are the same in every row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

Tokens = Sequence[int]

PREFIX, PADDING = 0, -1


@dataclasses.dataclass(frozen=True)
class Layout:
    """One row, padded: three lists of the same length."""

    input_ids: list[int]
    position_ids: list[int]
    branches: list[int]
    """PREFIX, 1 and up for the branches, PADDING."""


def shared_length(prompts: Sequence[Tokens]) -> int:
    """Return how many first tokens all prompts share, leaving every prompt at least its last."""
    limit = min(len(prompt) for prompt in prompts) - 1
    first = prompts[0]
    for place in range(limit):
        if any(prompt[place] != first[place] for prompt in prompts):
            return place
    return limit


def tree_size(prompts: Sequence[Tokens], skip: int) -> int:
    """Return the number of tokens of the tree of `prompts`, without their first `skip`."""
    shared = shared_length(prompts)
    return shared - skip + sum(len(prompt) - shared for prompt in prompts)


def lay_out(prompts: Sequence[Tokens], skip: int, width: int) -> Layout:
    """Lay a row's prompts out in `width` places, leaving out their first `skip` tokens.

    `skip` is at most the shared length and `width` at least the tree's size.
    """
    shared = shared_length(prompts)
    places = [(prompts[0][i], i, PREFIX) for i in range(skip, shared)]
    for branch, prompt in enumerate(prompts, 1):
        places += [(prompt[i], i, branch) for i in range(shared, len(prompt) - 1)]
    padding = width - len(places) - len(prompts)
    assert skip <= shared and padding >= 0
    places += [(0, 0, PADDING)] * padding
    for branch, prompt in enumerate(prompts, 1):
        places.append((prompt[-1], len(prompt) - 1, branch))
    return Layout(*(list(column) for column in zip(*places, strict=True)))


def batches(sizes: Sequence[int], rows: int, step: int) -> list[tuple[int, list[int]]]:
    """Group rows into batches of equal shape: (width, indices of `rows` rows).

    Widths are multiples of `step`. A batch that is not full repeats its last row, so that every
    batch of a width has the same shape.
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
