"""A model's keys and values, kept from token to token where its family would forget them."""

from __future__ import annotations

import types

from transformers import GenerationMixin, PreTrainedModel

_FORGETFUL = ("phi3", "phimoe")


def keep_keys(model: PreTrainedModel) -> None:
    """Let a model keep its keys past what its config calls the original context, in place.

    transformers 5 has these families forget them there, whatever their rotary positions, and then
    reads the last token alone; in a batch, as soon as its padded width passes that context.
    """
    if model.config.model_type in _FORGETFUL:
        kept = types.MethodType(GenerationMixin.prepare_inputs_for_generation, model)
        setattr(model, "prepare_inputs_for_generation", kept)  # noqa: B010
