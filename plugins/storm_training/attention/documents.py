"""Where the documents of packed rows lie, and groups of documents of similar length."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import NamedTuple

import torch

_MAX_PADDED_RATIO = 1.05
"""Most tokens of a group with padding, relative to those without."""
_MAX_PAIRS = 1 << 18
"""Most pairs of positions in a group."""


@dataclasses.dataclass(eq=False)
class Documents:
    """The boundaries of the documents in a batch; transformers passes them on like a mask."""

    cu_seqlens: torch.Tensor
    """int32 [documents + 1]: the first position of each in the flattened batch, and its length."""
    longest: int
    """Tokens of the longest document."""
    window: int | None = None
    """How many tokens a query attends to, itself included; None: its document up to itself."""

    def __post_init__(self) -> None:
        """Create an empty cache of masks, which are made once per length."""
        self._masks: dict[tuple[int, int], torch.Tensor] = {}

    @functools.cached_property
    def groups(self) -> Groups:
        """The documents in groups of similar length."""
        ends = self.cu_seqlens.tolist()
        sizes = sorted((end - start, start) for start, end in itertools.pairwise(ends))
        return _group(sizes, ends[-1])

    def mask(self, length: int, copies: int) -> torch.Tensor:
        """Return fp32 [copies * length, length]: 0 where a query attends to a key, else -inf."""
        if (length, copies) not in self._masks:
            visible = torch.ones(length, length, dtype=torch.bool).tril_()
            if self.window is not None:
                visible = visible.triu_(1 - self.window)
            mask = torch.zeros(length, length).masked_fill_(~visible, -torch.inf)
            self._masks[length, copies] = mask.repeat(copies, 1)
        return self._masks[length, copies]


class Groups(NamedTuple):
    """Documents in order of length, padded to the longest of their group.

    Padding follows a document, so that a causal mask hides it from every token.
    """

    sizes: list[tuple[int, int]]
    """(documents, padded length) of each group."""
    to_padded: torch.Tensor
    """int64 [padded]: position in the batch of each padded token; padding repeats the last one."""
    padding: torch.Tensor
    """int64: indices of the padding among the padded tokens."""
    from_padded: torch.Tensor
    """int64 [tokens]: index of each token of the batch among the padded tokens."""


def _group(sizes: list[tuple[int, int]], tokens: int) -> Groups:
    """Group documents (length, start), sorted by length, so that there is little padding."""
    groups: list[list[tuple[int, int]]] = []
    real = 0
    for length, start in sizes:
        padded = (len(groups[-1]) + 1) * length if groups else 0
        most = max(_MAX_PADDED_RATIO * (real + length), 64)
        if groups and padded <= most and padded * length <= _MAX_PAIRS:
            groups[-1].append((length, start))
            real += length
        else:
            groups.append([(length, start)])
            real = length
    sources: list[torch.Tensor] = []
    real_parts: list[torch.Tensor] = []
    for group in groups:
        lengths, starts = torch.tensor(group).T[..., None]
        steps = torch.arange(int(lengths[-1]))
        sources.append((starts + steps.minimum(lengths - 1)).flatten())
        real_parts.append((steps < lengths).flatten())
    is_real = torch.cat(real_parts)
    source = torch.cat(sources)
    from_padded = torch.empty(tokens, dtype=torch.int64)
    from_padded[source[is_real]] = is_real.nonzero().flatten()
    group_sizes = [(len(group), group[-1][0]) for group in groups]
    return Groups(group_sizes, source, (~is_real).nonzero().flatten(), from_padded)
