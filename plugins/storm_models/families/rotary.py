"""Rotary positions per document, in packed rows of several documents."""

from __future__ import annotations

import functools
from typing import Any

import torch
from transformers import PreTrainedModel


def separate_documents(model: PreTrainedModel) -> None:
    """Make a model choose rotary factors by each document's own length, in place.

    transformers chooses by the longest position of a batch, so one long document imposes its
    factors on all others, and with `dynamic` on later batches as well. Only models whose factors
    depend on length are changed.
    """
    for module in model.modules():
        stated = getattr(module, "rope_type", None)
        kinds = list(stated.values()) if isinstance(stated, dict) else [stated]
        if any(map(_depends_on_length, kinds)):
            kind: Any = type(module)
            module.__class__ = _separated(kind)


def document_lengths(positions: torch.Tensor) -> torch.Tensor:
    """Return for every token the length of its document, int64 as `positions` [rows, tokens].

    A document is a run of positions that increase by one; its length is its last position plus one.
    """
    ends = torch.ones_like(positions, dtype=torch.bool)
    ends[:, :-1] = positions[:, 1:] != positions[:, :-1] + 1
    last = torch.where(ends, positions, torch.iinfo(positions.dtype).max)
    # The last position of a run is the first end at or after a token.
    places = torch.arange(positions.shape[1], device=positions.device).expand_as(positions)
    ending = torch.where(ends, places, positions.shape[1]).flip(1).cummin(1).values.flip(1)
    return last.gather(1, ending) + 1


def _depends_on_length(kind: Any) -> bool:
    return isinstance(kind, str) and (kind == "longrope" or "dynamic" in kind)


@functools.cache
def _separated(stock: type[torch.nn.Module]) -> type[torch.nn.Module]:
    """Return a subclass of `stock` that computes the embedding once per distinct length."""

    class Separated(stock):  # type: ignore[misc, valid-type]
        def forward(
            self, x: torch.Tensor, position_ids: torch.Tensor, layer_type: str | None = None
        ) -> tuple[torch.Tensor, torch.Tensor]:
            kind = self.rope_type if layer_type is None else self.rope_type[layer_type]
            options = {} if layer_type is None else {"layer_type": layer_type}
            if not _depends_on_length(kind):
                unchanged: tuple[torch.Tensor, torch.Tensor] = super().forward(
                    x, position_ids, **options
                )
                return unchanged
            lengths = document_lengths(position_ids)
            if kind == "longrope":
                stated = self.config.rope_parameters
                stated = stated if layer_type is None else stated[layer_type]
                context = int(stated["original_max_position_embeddings"])
                longest = int(lengths.max())
                effective_lengths = torch.where(
                    lengths > context, max(longest, context + 1), context
                )
            else:
                effective_lengths = lengths.clamp(min=int(self.original_max_seq_len))
            cos: torch.Tensor | None = None
            sin: torch.Tensor | None = None
            for value in effective_lengths.unique().tolist():
                self._forget(layer_type)
                values = super().forward(x, position_ids.clamp(max=value - 1), **options)
                if cos is None or sin is None:
                    cos, sin = values
                    continue
                here = (effective_lengths == value)[..., None]
                cos, sin = torch.where(here, values[0], cos), torch.where(here, values[1], sin)
            assert cos is not None and sin is not None
            return cos, sin

        def _forget(self, layer_type: str | None) -> None:
            """Reset what `stock` remembers of longer texts in earlier calls."""
            prefix = "" if layer_type is None else f"{layer_type}_"
            self.max_seq_len_cached = self.original_max_seq_len
            if hasattr(self, f"{prefix}max_seq_len_cached"):
                setattr(self, f"{prefix}max_seq_len_cached", self.original_max_seq_len)
            original = getattr(self, f"{prefix}original_inv_freq")
            self.register_buffer(f"{prefix}inv_freq", original, persistent=False)

    Separated.__name__ = Separated.__qualname__ = stock.__name__
    return Separated
