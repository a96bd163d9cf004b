"""Pretraining the base model from random weights."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from storm_exp import StageContext
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer, ChatTokens
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.families.model_config import by_name
from storm_models.quiet import quiet
from storm_tinyworld.base_model.architecture import Architecture
from storm_tinyworld.base_model.pretraining_text import Mixture, Text, pretraining_texts
from storm_tinyworld.base_model.tokenizer import build_tokenizer
from storm_training.data.packed_rows import write_examples
from storm_training.data.token_sequences import TokenSequences
from storm_training.loop.loader import plan_run
from storm_training.loop.trainer import train
from storm_training.objectives.objective import NextToken
from storm_training.optim.settings import TrainingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

_AT_ONCE = 1024
_EMBEDDING_GAIN = 8


def pretrain(
    stage: StageContext,
    settings: TrainingSettings,
    architecture: Architecture,
    mixture: Mixture,
) -> Checkpoint:
    """Generate text, train a model of random weights on it, and save it with its tokenizer.

    Only answers are supervised: the assistant's turns, and right answers in rated examples. The
    questions are random and cannot be predicted.
    """
    tokenizer = build_tokenizer(architecture.positions)
    sequences = TokenSequences.collect(_texts(settings, mixture, tokenizer))
    model = random_init(LlamaConfig(**by_name(architecture.config())), settings.seed)
    stage.say(f"{len(sequences)} texts, {sequences.tokens() / 1e6:.1f} M tokens")
    log = train(model, sequences, settings, stage, objective=NextToken("pretraining"))
    with quiet():
        model.save_pretrained(stage.directory)
    tokenizer.save_pretrained(stage.directory)
    parameters = [
        {"name": n, "shape": list(p.shape), "parameters": p.numel(), "trained": True, "snr": None}
        for n, p in model.named_parameters()
    ]
    record = {
        "objective": "pretraining",
        "precision": log.precision,
        "dtypes": ["F32"],
        "tokens_per_step": round(sum(entry["tokens"] for entry in log.steps) / len(log.steps)),
        "rows": {"used": len(sequences), "dropped": {}},
        "validation_rows": {"used": 0, "dropped": {}},
        "trainable": parameters,
        "validation": log.validation,
        "steps": log.steps,
    }
    (stage.directory / "training.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    length = settings.sequence_length
    plan = plan_run(sequences, settings)
    write_examples(
        stage.directory, tokenizer, sequences, plan, longest=length, cut=False, capacity=length
    )
    last = log.steps[-max(1, len(log.steps) // 10) :]
    stage.metric("training_loss", sum(e["loss"] for e in last) / len(last), main=True)
    return Checkpoint(stage.directory)


def random_init(config: LlamaConfig, seed: int) -> LlamaForCausalLM:
    """Return a model of random weights.

    The embedding is scaled up and the weights that write to the residual stream are scaled down (by
    the root of their number, as in GPT-2), so that untrained blocks do not drown the embedding.
    This halved the tokens needed to learn copying.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        model.model.embed_tokens.weight.mul_(_EMBEDDING_GAIN)
        for layer in model.model.layers:
            for block in (layer.self_attn.o_proj, layer.mlp.down_proj):
                block.weight.div_(math.sqrt(2 * config.num_hidden_layers))
    return model


def _texts(
    settings: TrainingSettings, mixture: Mixture, tokenizer: Tokenizer
) -> Iterator[tuple[list[int], list[bool]]]:
    """Yield tokenised texts until there are enough for every step."""
    assert settings.steps is not None
    wanted = (
        settings.steps
        * settings.gradient_accumulation_steps
        * settings.batch_size
        * settings.sequence_length
    )
    chats = ChatRenderer(tokenizer)
    stream = pretraining_texts(settings.seed, mixture)
    written = 0
    while written < wanted:
        texts = list(itertools.islice(stream, _AT_ONCE))
        encoded = chats.encode([Conversation(text.chat) for text in texts])
        for text, tokens in zip(texts, encoded, strict=True):
            assert isinstance(tokens, ChatTokens)
            if len(tokens.ids) <= settings.sequence_length:
                written += len(tokens.ids)
                yield tokens.ids, loss_mask(text, tokens, tokenizer)


def loss_mask(text: Text, tokens: ChatTokens, tokenizer: Tokenizer) -> list[bool]:
    """Return a mask of the assistant's tokens, and of the right answer in a rated example.

    The answer precedes the last line of the user's turn, and tokens are characters, so that it is
    located by counting from the end. The line break after it is supervised as well.
    """
    mask = list(tokens.supervised)
    if text.shown_answer:
        question = text.chat[0]["content"].rpartition("\n")[2]
        spoken = sum(tokens.supervised)
        turns = 2
        end = len(mask) - spoken - turns - len(tokenizer(question)["input_ids"])
        start = end - 1 - len(tokenizer(text.shown_answer)["input_ids"])
        mask[start:end] = [True] * (end - start)
    return mask
