"""A model whose answer is known."""

from __future__ import annotations

import itertools

import pytest
import torch

from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint


@pytest.fixture(scope="package")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A model that answers every prompt with "ab"."""
    folder = tmp_path_factory.mktemp("talker")
    model = make_checkpoint(folder, dtype="float32", num_hidden_layers=1)
    tokenizer, network = model.tokenizer(), model.load("float32")
    chain = [
        tokenizer.convert_tokens_to_ids(token) for token in ("<|assistant|>", "a", "b", "<|end|>")
    ]
    with torch.no_grad():
        for block in network.model.layers:
            block.self_attn.o_proj.weight.zero_()
            block.mlp.down_proj.weight.zero_()
        network.lm_head.weight.zero_()
        for current, following in itertools.pairwise(chain):
            direction = network.model.embed_tokens.weight[current]
            network.lm_head.weight[following] += 100 * direction / direction.norm()
    network.save_pretrained(folder)
    return Checkpoint(folder)
