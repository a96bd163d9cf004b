from __future__ import annotations

import dataclasses
import hashlib

import pytest

from storm_exp import SettingError
from storm_exp.testing import make_stage
from storm_models.testing import make_checkpoint
from storm_training.components.sft import Sft
from storm_training.optim.settings import Decayed
from storm_training.testing import make_chats, tokenise_chats
from storm_training.trainable.settings import READS, TrainableSettings
from storm_training.trainable.snr_scanner import SnrScanner

START = {
    "steps": 4,
    "sequence_length": 64,
    "batch_size": 2,
    "learning_rate": 1e-2,
    "warmup_ratio": 0.5,
    "weight_decay": 0.1,
    "max_grad_norm": 1.0,
    "precision": "float32",
    "seed": 0,
}
CHANGES = {
    "steps": {"steps": 5},
    "epochs": {"steps": None, "epochs": 0.9},
    "stop_after": {"stop_after": 1},
    "stop_after_epochs": {"steps": None, "epochs": 2.0, "stop_after_epochs": 1.0},
    "sequence_length": {"sequence_length": 96},
    "batch_size": {"batch_size": 3},
    "gradient_accumulation_steps": {"gradient_accumulation_steps": 2},
    "learning_rate": {"learning_rate": 1e-3},
    "schedule": {"schedule": "constant"},
    "min_lr_ratio": {"min_lr_ratio": 0.5},
    "warmup_ratio": {"warmup_ratio": 0.0},
    "schedule_from": {"schedule_from": 0.5},
    "schedule_to": {"schedule_to": 0.5},
    "weight_decay": {"weight_decay": 0.2},
    "decayed": {"decayed": Decayed.all, "trainable": {"method": "spectrum", "norms": True}},
    "neftune": {"neftune": 5.0},
    "beta1": {"beta1": 0.5},
    "beta2": {"beta2": 0.5},
    "max_grad_norm": {"max_grad_norm": 0.1},
    "precision": {"precision": "bfloat16_mixed"},
    "validation_rows": {"validation_rows": 2},
    "validation_every": {"validation_every": 1},
    "seed": {"seed": 1},
    "trainable": {"trainable": {"method": "all"}},
    "rounding": {"precision": "bfloat16", "rounding": "stochastic"},
    "attention": {"attention": "eager"},
    "compile": {"compile": True},
    "keep": {"keep": "best", "validation_every": 1, "learning_rate": 0.5, "steps": 6},
    "patience": {"patience": 1, "validation_every": 1, "learning_rate": 0.5, "steps": 9},
}
"""For every setting that enters the key, values that differ from START."""
GPU = {"optimizer"}
"""Settings that have an effect on a GPU only."""
CHOICES = {
    "fraction": ({"method": "spectrum"}, {"fraction": 0.75}),
    "embedding": ({"method": "spectrum"}, {"embedding": False}),
    "head": ({"method": "spectrum"}, {"head": False}),
    "norms": ({"method": "spectrum"}, {"norms": True}),
    "norm_layers": ({"method": "spectrum"}, {"norm_layers": 2}),
    "control": ({"method": "spectrum"}, {"control": "random"}),
    "layers": ({"method": "last_layers", "layers": 1}, {"layers": 2}),
    "names": (
        {"method": "named", "names": [".*q_proj.weight"]},
        {"names": [".*[qk]_proj.weight"]},
    ),
    "rank": ({"method": "lora"}, {"rank": 4}),
    "alpha": ({"method": "lora"}, {"alpha": 8.0}),
    "dropout": ({"method": "lora"}, {"dropout": 0.5}),
    "modules": ({"method": "lora"}, {"modules": ["q_proj"]}),
}
"""For every setting of the choice of parameters: a choice that reads it, and another value."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    model = make_checkpoint(folder / "model", num_hidden_layers=4)
    tokens = tokenise_chats(folder / "tokens", model, make_chats(folder / "data"))
    return model, tokens, SnrScanner().run(make_stage(folder), model)


def digest(folder, inputs, changes) -> str:
    values = {"trainable": {"method": "spectrum"}, **START, **changes}
    values["trainable"] = TrainableSettings(**values["trainable"])
    result = Sft(**values).run(make_stage(folder), *inputs)
    names = ("model.safetensors", "training.json")
    return hashlib.sha256(b"".join((result.directory / n).read_bytes() for n in names)).hexdigest()


@pytest.fixture(scope="module")
def start(tmp_path_factory, inputs):
    return digest(tmp_path_factory.mktemp("start"), inputs, {})


def test_the_list_of_settings_is_complete():
    fields = dataclasses.fields(Sft)
    assert {f.name for f in fields if f.metadata.get("semantic", True)} == set(CHANGES) | GPU


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n == "compile" else n for n in CHANGES],
)
def test_every_setting_that_enters_the_key_has_an_effect(tmp_path, inputs, start, name):
    assert digest(tmp_path, inputs, CHANGES[name]) != start


@pytest.mark.parametrize(
    "changes",
    [
        {"activation_checkpointing": True},
        {"checkpoint_every": 1, "checkpoints_kept": 2},
        {"checkpoint_seconds": 0.01},
        {"check_saving": False},
        {"keep_every": 1},
        {"loggers": []},
    ],
)
def test_a_setting_outside_the_key_has_none(tmp_path, inputs, start, changes):
    assert digest(tmp_path, inputs, changes) == start


def test_the_list_of_choices_is_complete():
    assert {field.name for field in dataclasses.fields(TrainableSettings)} == {"method", *CHOICES}
    assert {name for read in READS.values() for name in read} == set(CHOICES)


@pytest.mark.parametrize("name", CHOICES)
def test_every_setting_of_a_choice_has_an_effect(tmp_path, inputs, name):
    choice, change = CHOICES[name]
    before = digest(tmp_path / "before", inputs, {"trainable": choice})
    assert digest(tmp_path / "after", inputs, {"trainable": {**choice, **change}}) != before


@pytest.mark.parametrize(
    ("values", "setting", "problem"),
    [
        ({"method": "lroa"}, "method", "did you mean 'lora'"),
        ({"rank": 8}, "rank", "is used only with method=lora or qlora"),
        ({"method": "lora", "fraction": 0.2}, "fraction", "is used only with method=spectrum"),
        ({"method": "spectrum", "fraction": 1.5}, "fraction", "between 0 and 1"),
        ({"method": "last_layers"}, "layers", "at least 1"),
        ({"method": "named"}, "names", "at least one"),
        ({"method": "named", "names": ["("]}, "names", "no regular expression"),
        ({"method": "lora", "rank": 0}, "rank", "at least 1"),
        ({"method": "lora", "alpha": 0.0}, "alpha", "above 0"),
        ({"method": "lora", "dropout": 1.0}, "dropout", "at least 0 and below 1"),
    ],
)
def test_a_choice_that_cannot_work_is_named(values, setting, problem):
    with pytest.raises(SettingError, match=problem) as error:
        TrainableSettings(**values)
    assert error.value.setting == f"trainable.{setting}"
