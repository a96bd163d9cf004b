"""What is minimised: a sum over supervised tokens, and how many there are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from storm_training.packing import IGNORED, PackedBatch

Objective = Callable[[PreTrainedModel, PackedBatch], torch.Tensor]
"""Takes a model and a batch; returns the loss summed over its supervised tokens, an fp32 scalar.
The trainer divides by the supervised tokens of the whole optimiser step."""

_CHANGED_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling")


def next_token_loss(model: PreTrainedModel, batch: PackedBatch) -> torch.Tensor:
    """Return the cross-entropy of the next token, summed over supervised positions.

    Logits are computed in fp32 or as autocast decides, for supervised positions only, unless
    the architecture changes them after its head (soft caps, scales).
    """
    labels = batch.labels.flatten()
    chosen = torch.nonzero(labels != IGNORED).squeeze(1)
    inputs = {"input_ids": batch.ids, "position_ids": batch.positions, "use_cache": False}
    if any(getattr(model.config, name, None) for name in _CHANGED_LOGITS):
        logits = model(**inputs).logits.flatten(0, 1).index_select(0, chosen)
    else:
        hidden = model.get_decoder()(**inputs).last_hidden_state
        logits = model.get_output_embeddings()(hidden.flatten(0, 1).index_select(0, chosen))
    return functional.cross_entropy(logits.float(), labels.index_select(0, chosen), reduction="sum")
