"""Specs of models as if all had one vocabulary: what a plan knows of a merge."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from storm_exp import InputError
from storm_merging.vocabulary.alignment import Alignment, align, check_same
from storm_merging.vocabulary.merged_vocabulary import TokenizerTokens, read_tokenizer_tokens
from storm_merging.vocabulary.row_sources import VocabularyMatrix
from storm_merging.vocabulary.settings import VocabularySettings
from storm_models.checkpoint.spec import CheckpointSpec, shapes_digest
from storm_models.families.architecture import HEAD, parameter_count, tensor_shapes, ties_head
from storm_models.families.model_config import ModelConfig, by_name, with_values
from storm_models.folder.generation_config import special_ids
from storm_models.folder.tokenizer import FOLDERS, tokens_digest


def with_heads(configs: Sequence[ModelConfig], merged: Sequence[int]) -> list[ModelConfig]:
    """Return configs that tie their heads to the embeddings if all of the `merged` models do.

    Otherwise none does: the head of a model that ties it is its embedding.
    """
    tied = all(ties_head(configs[model]) for model in merged)
    return [
        config if ties_head(config) == tied else with_values(config, tie_word_embeddings=tied)
        for config in configs
    ]


def aligned_specs(
    models: Sequence[CheckpointSpec],
    settings: VocabularySettings,
    matrices: Sequence[VocabularyMatrix],
    merged: Sequence[int],
    main: int,
) -> tuple[list[CheckpointSpec], Alignment | None] | None:
    """Return the specs as if all models had the merge's vocabulary, and how they get it.

    `matrices` are embedding and head, `merged` the places of the models that are merged, and `main`
    that of the base, or of the first model. Returns None while the vocabulary is unknown.
    Raises InputError for vocabularies that cannot be made one, SettingError for settings.
    """
    used = list(dict.fromkeys([main, *merged]))
    keeper = settings.place(main, len(models))
    settings.rules(len(models))
    configs = [config for model in models if (config := model.config) and "model_type" in config]
    if len(configs) < len(models):
        return (list(models), None) if keeper is None else None
    configs = with_heads(configs, merged)
    stored = [config.get("vocab_size") or 0 for config in configs]
    if keeper is None:
        _check_same(models, used)
        if len({stored[model] for model in used}) == 1:
            pairs = zip(models, configs, strict=True)
            return [_with_config(model, config) for model, config in pairs], None
        keeper = main
    tokenizers = [_tokens(model) for model in models]
    known = [each for each in tokenizers if each is not None]
    if len(known) < len(models):
        return None
    apart = [each for each in matrices if each.name != HEAD or not ties_head(configs[main])]
    alignment = align(settings, known, stored, apart, keeper)
    vocabulary = alignment.vocabulary
    _check_specials(configs[keeper], vocabulary.rows, keeper)
    kept = models[keeper]
    return [
        dataclasses.replace(
            _with_config(model, with_values(config, vocab_size=vocabulary.rows)),
            tokenizer=tokens_digest(vocabulary.tokens) if vocabulary.entries else kept.tokenizer,
            has_chat_template=kept.has_chat_template,
            chat_arguments=kept.chat_arguments,
            chat_date=kept.chat_date,
        )
        for model, config in zip(models, configs, strict=True)
    ], alignment


def _tokens(model: CheckpointSpec) -> TokenizerTokens | None:
    folder = FOLDERS.get(model.tokenizer or "")
    # A folder in which a model was made has been renamed since.
    return read_tokenizer_tokens(folder) if folder is not None and folder.is_dir() else None


def _check_same(models: Sequence[CheckpointSpec], used: Sequence[int]) -> None:
    first = {models[place].tokenizer: place for place in reversed(used) if models[place].tokenizer}
    if len(first) > 1:
        places = sorted(first.values(), key=used.index)
        tokens = {place: each for place in places if (each := _tokens(models[place]))}
        if len(tokens) > 1:
            check_same(tokens)
        raise InputError(
            f"model {places[0] + 1} and model {places[1] + 1} cannot be merged: their tokenizers "
            "give different ids to the same text; write tokenizer_source: base or union"
        )


def _check_specials(config: ModelConfig, rows: int, model: int) -> None:
    for name, ids in special_ids(by_name(config), f"model {model + 1}").items():
        for number in ids:
            if number >= rows:
                raise InputError(
                    f"model {model + 1}: {name}={number} is a row without a token, and only rows "
                    f"of tokens are kept ({rows})"
                )


def _with_config(model: CheckpointSpec, config: ModelConfig) -> CheckpointSpec:
    if config is model.config:
        return model
    shapes = tensor_shapes(config)
    return dataclasses.replace(
        model,
        config=config,
        parameters=parameter_count(config),
        shapes=shapes_digest(shapes) if shapes else None,
    )
