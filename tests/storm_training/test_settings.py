from __future__ import annotations

import dataclasses
import hashlib

import pytest

from storm_exp.testing import make_stage
from storm_models.testing import make_checkpoint
from storm_training.snr_scanner import SnrScanner
from storm_training.spectrum import Spectrum
from storm_training.testing import make_chats

START = {
    "steps": 4,
    "sequence_length": 64,
    "batch_rows": 2,
    "learning_rate": 1e-2,
    "warmup": 0.5,
    "weight_decay": 0.1,
    "gradient_clip": 1.0,
    "precision": "32",
    "seed": 0,
}
CHANGES = {
    "steps": {"steps": 5},
    "epochs": {"steps": 0, "epochs": 0.9},
    "sequence_length": {"sequence_length": 96},
    "batch_rows": {"batch_rows": 3},
    "accumulation": {"accumulation": 2},
    "learning_rate": {"learning_rate": 1e-3},
    "schedule": {"schedule": "constant"},
    "final_rate": {"final_rate": 0.5},
    "warmup": {"warmup": 0.0},
    "weight_decay": {"weight_decay": 0.2},
    "beta1": {"beta1": 0.5},
    "beta2": {"beta2": 0.5},
    "gradient_clip": {"gradient_clip": 0.1},
    "precision": {"precision": "bf16-mixed"},
    "validation_rows": {"validation_rows": 2},
    "validation_every": {"validation_every": 1},
    "seed": {"seed": 1},
    "fraction": {"fraction": 0.75},
    "embedding": {"embedding": False},
    "head": {"head": False},
    "norms": {"norms": True},
}
"""For every setting that enters the key, values that differ from START."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    model = make_checkpoint(folder / "model", num_hidden_layers=4)
    return model, make_chats(folder / "data"), SnrScanner().run(make_stage(folder), model)


def digest(folder, inputs, changes) -> str:
    result = Spectrum(**{**START, **changes}).run(make_stage(folder), *inputs)
    names = ("model.safetensors", "training.json")
    return hashlib.sha256(b"".join((result.directory / n).read_bytes() for n in names)).hexdigest()


@pytest.fixture(scope="module")
def start(tmp_path_factory, inputs):
    return digest(tmp_path_factory.mktemp("start"), inputs, {})


def test_the_list_of_settings_is_complete():
    fields = dataclasses.fields(Spectrum)
    assert {f.name for f in fields if f.metadata.get("semantic", True)} == set(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_every_setting_that_enters_the_key_has_an_effect(tmp_path, inputs, start, name):
    assert digest(tmp_path, inputs, CHANGES[name]) != start


@pytest.mark.parametrize("changes", [{"activation_checkpointing": True}, {"checkpoint_every": 1}])
def test_a_setting_outside_the_key_has_none(tmp_path, inputs, start, changes):
    assert digest(tmp_path, inputs, changes) == start
