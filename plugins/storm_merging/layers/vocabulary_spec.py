"""Specs of models as if all had the vocabulary of one of them: what a plan knows of a merge."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from storm_exp import InputError
from storm_models.checkpoint.spec import CheckpointSpec, shapes_digest
from storm_models.families.architecture import parameter_count, tensor_shapes
from storm_models.families.model_config import ModelConfig, by_name, model_config
from storm_models.folder.tokenizer import FOLDERS, read_tokens


def in_vocabulary_of(
    models: Sequence[CheckpointSpec], chosen: CheckpointSpec
) -> list[CheckpointSpec] | None:
    """Return the specs of `models` in the vocabulary of `chosen`, None while that is unknown.

    Raises InputError for a tokenizer whose files do not list its tokens.
    """
    folder = FOLDERS.get(chosen.tokenizer or "")
    # A folder in which a model was made has been renamed since.
    if folder is None or not folder.is_dir() or any(model.config is None for model in models):
        return None
    tokens = read_tokens(folder)
    if tokens is None:
        raise InputError(f"{folder}: a sentencepiece model alone does not list its tokens here")
    size = 1 + max(tokens.ids().values())
    return [_with_rows(model, size, chosen.tokenizer) for model in models]


def with_vocabulary(config: ModelConfig, size: int) -> ModelConfig:
    """Return a config with so many tokens."""
    return model_config({**by_name(config), "vocab_size": size})


def _with_rows(model: CheckpointSpec, size: int, tokenizer: str | None) -> CheckpointSpec:
    config = with_vocabulary(model.config or ModelConfig(), size)
    shapes = tensor_shapes(config)
    return dataclasses.replace(
        model,
        config=config,
        tokenizer=tokenizer,
        parameters=parameter_count(config),
        shapes=shapes_digest(shapes) if shapes else None,
    )
