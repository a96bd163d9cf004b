"""NEFTune against its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from storm_exp import SettingError
from storm_models.testing import make_checkpoint
from storm_training.data.packing import build_batch, pack
from storm_training.loop.neftune import noisy_embeddings
from storm_training.testing import make_chats, small_settings, tokenise_chats


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("model"), dtype="float32")


@pytest.fixture(scope="module")
def batch(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("data")
    tokens = tokenise_chats(folder / "tokens", model, make_chats(folder / "chats", rows=30))
    sequences = tokens.sequences("train")
    return build_batch(sequences, pack(sequences.lengths(), np.arange(len(sequences)), 96))


def noise(network, batch, alpha):
    embedding = network.get_input_embeddings()
    plain = embedding(batch.input_ids)
    torch.manual_seed(3)
    with noisy_embeddings(network, batch, alpha):
        return (embedding(batch.input_ids) - plain).detach()


def test_noise_is_uniform_in_alpha_over_the_root_of_tokens_times_hidden_size(model, batch):
    network = model.load("float32").train()
    noises, alpha = noise(network, batch, 5.0), 5.0
    assert len(set(batch.segment_ids.flatten().tolist())) > 20
    shares = []
    for document in range(int(batch.segment_ids.max()) + 1):
        place = batch.segment_ids == document
        bound = alpha / math.sqrt(int(place.sum()) * network.config.hidden_size)
        own = noises[place]
        assert float(own.abs().max()) <= bound * (1 + 1e-4)
        assert float(own.abs().max()) > 0.97 * bound
        shares.append(own.flatten() / bound)
    every = torch.cat(shares)
    assert float(every.mean()) == pytest.approx(0, abs=0.02)
    assert float(every.pow(2).mean()) == pytest.approx(1 / 3, rel=0.02)
    assert float(every.pow(4).mean()) == pytest.approx(1 / 5, rel=0.03)


def test_padding_gets_no_noise(model, batch):
    padded = batch.segment_ids == -1
    assert padded.any()
    assert not noise(model.load("float32").train(), batch, 5.0)[padded].any()


def test_there_is_no_noise_when_a_model_is_scored_nor_afterwards(model, batch):
    network = model.load("float32")
    assert not noise(network.eval(), batch, 5.0).any()
    noise(network.train(), batch, 5.0)
    assert torch.equal(
        network.get_input_embeddings()(batch.input_ids),
        torch.nn.functional.embedding(batch.input_ids, network.get_input_embeddings().weight),
    )


def test_a_negative_noise_is_refused():
    with pytest.raises(SettingError, match="neftune"):
        small_settings(neftune=-1.0)
