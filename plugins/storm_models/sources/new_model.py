"""The component `new_model`: a model of random weights, from which pretraining starts."""

from __future__ import annotations

import dataclasses
from typing import Any

from omegaconf import II

from storm_exp import (
    FileDigests,
    InputError,
    SettingError,
    StageContext,
    component,
    setting,
)
from storm_models.chat.chat_file import write_chat_settings
from storm_models.chat.settings import ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, chat_spec, shapes_digest
from storm_models.dtype import Dtype
from storm_models.families.architecture import parameter_count, tensor_shapes
from storm_models.families.model_config import ModelConfig, by_name, model_config
from storm_models.sources.new_config import check_new_config
from storm_models.twins.model_twin import is_small
from storm_models.twins.shrinking import shrink

_TAKEN_OVER = ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")
"""Keys taken from the config of the tokenizer's model, unless `config` states them."""
_OF_WEIGHTS = ("dtype", "torch_dtype", "quantization_config")
"""Keys that describe the stored weights of the tokenizer's model."""


@component("base_model", "new_model", version=3)
class NewModel:
    """Makes a model of given sizes with random weights, and gives it the tokenizer of another one.

    Weights are drawn as transformers draws them for the family (`initializer_range` of the config),
    then scaled. Small models learn sooner with a larger embedding and blocks that write less to the
    residual stream, so that untrained blocks do not drown the embedding.
    """

    config: dict[str, Any] = setting({})
    """The contents of config.json, by transformers' names: model_type and sizes. Vocabulary and the
    ids of special tokens come from the tokenizer. Empty: the config of the tokenizer's model."""
    embedding_gain: float = setting(1.0, above=0)
    """Factor on the embedding's initial weights, shared by a tied head."""
    residual_gain: float = setting(0.0, at_least=0)
    """Factor on the initial weights of o_proj and down_proj, which write to the residual stream; 0
    takes 1 / √(2 · layers), as GPT-2 does."""
    dtype: Dtype = Dtype.float32
    """Dtype of the stored weights: float32, bfloat16 or float16. Training keeps it."""
    chat: ChatSettings = setting(ChatSettings)
    """How chats are rendered for it; its own template is that of the tokenizer's model."""
    seed: int = II("seed")
    """Seed of the weights."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        if self.config:
            check_new_config(self.config)

    def full_config(self, source: ModelConfig) -> ModelConfig:
        """Return `config` completed from `source`, the config of the tokenizer's model.

        An empty `config` gives the source's, except for how weights are stored. Raises SettingError
        for a vocabulary that is too small for the tokenizer.
        """
        stored = {"dtype": str(self.dtype)}
        if not self.config:
            architecture = {n: value for n, value in source.items() if n not in _OF_WEIGHTS}
            return model_config({**architecture, **stored})
        stated = by_name(source)
        taken = {name: stated[name] for name in _TAKEN_OVER if stated.get(name) is not None}
        config = {**taken, **self.config, **stored}
        needed = source.get("vocab_size")
        if needed and config["vocab_size"] < needed:
            problem = f"the tokenizer's model has {needed} tokens"
            raise SettingError("config.vocab_size", config["vocab_size"], problem)
        return model_config(config)

    def plan_spec(self, tokenizer: CheckpointSpec) -> CheckpointSpec:
        """Return the model's spec; raises InputError for sizes that contradict each other."""
        if tokenizer.config is None and (not self.config or "vocab_size" not in self.config):
            return chat_spec(_of_tokenizer(tokenizer), self.chat)
        config = self.full_config(tokenizer.config or {})
        shapes = tensor_shapes(config)
        if shapes is None:
            raise InputError(f"unknown model family {config.get('model_type')!r}")
        known = dataclasses.replace(
            _of_tokenizer(tokenizer),
            config=config,
            parameters=parameter_count(config),
            shapes=shapes_digest(shapes),
        )
        return chat_spec(known, self.chat)

    def fingerprint(self, files: FileDigests) -> str:
        """Return the digest of the chat template."""
        return self.chat.fingerprint(files)

    def rehearsal(self) -> NewModel:
        """Return this with a twin's config; the vocabulary comes from the tokenizer's twin."""
        if not self.config or is_small(model_config({"vocab_size": 1, **self.config})):
            return self
        config = {n: value for n, value in shrink(self.config).items() if n != "vocab_size"}
        return dataclasses.replace(self, config=config)

    def run(self, stage: StageContext, tokenizer: Checkpoint) -> Checkpoint:
        """Draw the weights."""
        from storm_models.sources.random_init import draw_weights, write_new_model

        config = self.full_config(tokenizer.config())
        with stage.compute():
            model = draw_weights(config, self.seed, self.embedding_gain, self.residual_gain)
        checkpoint = write_new_model(stage, model, tokenizer, self.dtype)
        write_chat_settings(checkpoint.directory, self.chat)
        return checkpoint


def _of_tokenizer(tokenizer: CheckpointSpec) -> CheckpointSpec:
    """Return the spec of what a new model takes from the model whose tokenizer it gets."""
    return CheckpointSpec(
        tokenizer=tokenizer.tokenizer,
        has_chat_template=tokenizer.has_chat_template,
        chat_arguments=tokenizer.chat_arguments,
        chat_date=tokenizer.chat_date,
    )
