"""The key-value cache during generation, in families whose own code drops it."""

from __future__ import annotations

import types

from transformers import GenerationMixin, PreTrainedModel

FORGETFUL = ("phi3", "phimoe", "phi4_multimodal")
"""Families whose own code drops the cache beyond the original context."""


def keep_kv_cache(model: PreTrainedModel) -> None:
    """Make a model keep its key-value cache past its original context, in place.

    transformers 5 has these families forget them there, whatever their rotary positions, and then
    reads the last token alone; in a batch, as soon as its padded width passes that context.
    """
    if model.config.model_type in FORGETFUL:
        method = types.MethodType(GenerationMixin.prepare_inputs_for_generation, model)
        setattr(model, "prepare_inputs_for_generation", method)  # noqa: B010
