"""Selection of the most important channels, neurons and heads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch

from storm_minitron.width.widths import Widths


@dataclasses.dataclass(frozen=True)
class KeptIndices:
    """Indices of the kept parts, ascending."""

    hidden: torch.Tensor
    """(hidden,): the same for all layers."""
    inner: torch.Tensor
    """(layers, inner): by layer."""
    heads: torch.Tensor
    """(layers, heads): by layer, the same number in every key-value group."""


def top_indices(values: torch.Tensor, count: int) -> torch.Tensor:
    """Return the indices of the `count` largest values along the last dimension, ascending.

    Of equal values, the first are taken.
    """
    order = torch.sort(values, dim=-1, descending=True, stable=True).indices
    return order[..., :count].sort(dim=-1).values


def select(values: Mapping[str, torch.Tensor], widths: Widths, groups: int) -> KeptIndices:
    """Return the kept indices of a model with `groups` key-value heads, given its importances.

    Neurons are ranked within their layer, heads within their key-value group.
    """
    heads_LH = values["heads"]
    size = heads_LH.shape[1] // groups
    within_LGK = top_indices(heads_LH.unflatten(1, (groups, size)), widths.heads // groups)
    first_G1 = torch.arange(groups)[:, None] * size
    return KeptIndices(
        hidden=top_indices(values["channels"], widths.hidden),
        inner=top_indices(values["neurons"], widths.inner),
        heads=(within_LGK + first_G1).flatten(1),
    )


def importance_share(values: torch.Tensor, kept: torch.Tensor) -> list[float]:
    """Return the kept indices' share of the importance, by layer (one share for channels)."""
    values_LN, kept_LK = torch.atleast_2d(values).double(), torch.atleast_2d(kept)
    share_L = values_LN.gather(1, kept_LK).sum(dim=1) / values_LN.sum(dim=1).clamp(min=1e-300)
    return [round(float(share), 6) for share in share_L]
