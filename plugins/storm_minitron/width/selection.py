"""Which channels, neurons and heads stay: the most important ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch

from storm_minitron.width.widths import Widths


@dataclasses.dataclass(frozen=True)
class Kept:
    """Indices that stay, ascending."""

    hidden: torch.Tensor
    """(hidden,): one list for the whole model."""
    inner: torch.Tensor
    """(layers, inner): a list per layer."""
    heads: torch.Tensor
    """(layers, heads): a list per layer, with as many of every key-value group."""


def strongest(values: torch.Tensor, count: int) -> torch.Tensor:
    """Return the indices of the `count` largest along the last dimension, ascending.

    The first of equals wins.
    """
    order = torch.sort(values, dim=-1, descending=True, stable=True).indices
    return order[..., :count].sort(dim=-1).values


def select(values: Mapping[str, torch.Tensor], widths: Widths, groups: int) -> Kept:
    """Return what stays of a model with `groups` key-value heads, by its importances.

    Heads are ranked within their group. Ranks are within a layer; only channels are shared.
    """
    heads_LH = values["heads"]
    size = heads_LH.shape[1] // groups
    within_LGK = strongest(heads_LH.unflatten(1, (groups, size)), widths.heads // groups)
    first_G1 = torch.arange(groups)[:, None] * size
    return Kept(
        hidden=strongest(values["channels"], widths.hidden),
        inner=strongest(values["neurons"], widths.inner),
        heads=(within_LGK + first_G1).flatten(1),
    )


def share_held(values: torch.Tensor, kept: torch.Tensor) -> list[float]:
    """Return the share of the importance that what is kept holds, per layer (or once)."""
    values_LN, kept_LK = torch.atleast_2d(values).double(), torch.atleast_2d(kept)
    held_L = values_LN.gather(1, kept_LK).sum(dim=1) / values_LN.sum(dim=1).clamp(min=1e-300)
    return [round(float(share), 6) for share in held_L]
