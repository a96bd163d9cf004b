"""Random initial weights, and writing them as a checkpoint."""

from __future__ import annotations

import math

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from storm_exp import InputError, StageContext
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.families.model_config import ModelConfig, by_name
from storm_models.folder.files import OF_THE_MODEL
from storm_models.quiet import quiet

_RESIDUAL = ("self_attn.o_proj.weight", "mlp.down_proj.weight")
"""The matrices that write to the residual stream, in every known family."""


def write_new_model(
    stage: StageContext, model: PreTrainedModel, tokenizer: Checkpoint, dtype: str
) -> Checkpoint:
    """Write a model in `dtype` with the tokenizer files of `tokenizer`; raises InputError."""
    with quiet():
        model.to(getattr(torch, dtype)).save_pretrained(stage.directory)
    tokenizer.copy_companions(stage.directory, but=OF_THE_MODEL)
    checkpoint = Checkpoint(stage.directory)
    _compare_tokenizers(tokenizer, checkpoint)
    stage.metric("parameters", sum(p.numel() for p in model.parameters()), main=True)
    return checkpoint


def _compare_tokenizers(source: Checkpoint, checkpoint: Checkpoint) -> None:
    """Raise InputError where transformers reads the same tokenizer differently in the new folder.

    For some families it uses a tokenizer class that adds tokens.
    """
    before, after = source.tokenizer().get_vocab(), checkpoint.tokenizer().get_vocab()
    if before != after:
        family = checkpoint.config()["model_type"]
        differing = sorted(before.items() ^ after.items())[0][0]
        raise InputError(
            f"beside a {family} model transformers reads this tokenizer differently (token "
            f"{differing!r}): take another family or another tokenizer"
        )


def draw_weights(
    config: ModelConfig, seed: int, embedding_gain: float = 1.0, residual_gain: float = 0.0
) -> PreTrainedModel:
    """Return a model of `config` in fp32; the same seed gives the same bits.

    Raises InputError with transformers' message for a config that it refuses.
    """
    with quiet():
        try:
            parsed = CONFIG_MAPPING[config["model_type"]].from_dict(by_name(config))
        except Exception as error:  # validators raise types of their own
            problem = " ".join(str(error).split())
            raise InputError(f"transformers refuses this config: {problem}") from error
    parsed.dtype = torch.float32
    with torch.random.fork_rng(devices=[]), torch.no_grad(), quiet():
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(parsed, dtype=torch.float32)
        embedding = model.get_input_embeddings().weight
        assert isinstance(embedding, torch.Tensor)
        embedding.mul_(embedding_gain)
        gain = residual_gain or 1 / math.sqrt(2 * config["num_hidden_layers"])
        for name, weight in model.named_parameters():
            if name.endswith(_RESIDUAL):
                weight.mul_(gain)
    return model
