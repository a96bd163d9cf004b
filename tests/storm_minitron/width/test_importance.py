import json

import numpy as np
import pytest
import torch

from families import FAMILIES, family_checkpoint
from storm_data.dataset import DatasetSpec
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_inference.calibration.samples import read_samples
from storm_minitron.calibration.batches import make_batches
from storm_minitron.calibration.settings import CalibrationSettings
from storm_minitron.width.activations import measure
from storm_minitron.width.importance_scanner import ImportanceScanner, concentration
from storm_models.checkpoint.spec import CheckpointSpec

SHAPES = {"batch_size": 3, "pad_to_multiple_of": 16, "max_length": 64}


def recorded(network, ids):
    """What flows into and out of the modules for one row that is not padded."""
    flows = {}

    def keep(name, tensor):
        flows[name] = tensor[0].double().numpy()

    handles = []
    for index, layer in enumerate(network.model.layers):
        norms = ["input_layernorm", "post_attention_layernorm"]
        if hasattr(layer, "pre_feedforward_layernorm"):
            norms[1] = "pre_feedforward_layernorm"
        for place, norm in enumerate(norms):
            handles.append(
                getattr(layer, norm).register_forward_hook(
                    lambda m, i, o, name=("norm", index, place): keep(name, o)
                )
            )
        for name, module in (("mlp", layer.mlp.down_proj), ("heads", layer.self_attn.o_proj)):
            handles.append(
                module.register_forward_pre_hook(lambda m, i, name=(name, index): keep(name, i[0]))
            )
    with torch.no_grad():
        network(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    return flows


@pytest.mark.parametrize("family", FAMILIES)
def test_importance_is_the_l2_norm_over_rows_of_means_over_tokens(family, chats, tmp_path):
    model = family_checkpoint(tmp_path, family)
    settings = CalibrationSettings(**SHAPES)
    samples, _ = read_samples(chats, "train", model, settings, 0)
    network = model.load("float32")
    actual = measure(network, 8, make_batches(samples, settings, "cpu", {}))
    rows = [recorded(network, sample.input_ids) for sample in samples]

    def norm(name, of=np.abs):
        return np.sqrt(sum(of(row[name]).mean(axis=0) ** 2 for row in rows))

    def heads(values):
        return np.linalg.norm(values.reshape(len(values), 4, 8), axis=-1)

    channels = sum(norm(("norm", layer, place)) for layer in range(3) for place in range(2))
    np.testing.assert_allclose(actual["channels"], channels, rtol=1e-4)
    for layer in range(3):
        np.testing.assert_allclose(actual["neurons"][layer], norm(("mlp", layer)), rtol=1e-4)
        np.testing.assert_allclose(actual["heads"][layer], norm(("heads", layer), heads), rtol=1e-4)


def test_the_shape_of_the_batches_does_not_matter(chats, tmp_path):
    model = family_checkpoint(tmp_path, "llama")
    importances = []
    for settings in (
        CalibrationSettings(batch_size=1, pad_to_multiple_of=1, max_length=64),
        CalibrationSettings(batch_size=5, pad_to_multiple_of=64, max_length=64),
    ):
        samples, _ = read_samples(chats, "train", model, settings, 0)
        batches = make_batches(samples, settings, "cpu", {})
        importances.append(measure(model.load("float32"), 8, batches))
    for name in importances[0]:
        torch.testing.assert_close(importances[0][name], importances[1][name], rtol=1e-4, atol=1e-9)


def test_a_scan_leaves_importances_and_says_how_they_are_spread(chats, tmp_path):
    model = family_checkpoint(tmp_path / "model", "llama")
    scanner = ImportanceScanner(seed=0, samples=9, **SHAPES)
    stage = make_stage(tmp_path)
    scan = scanner.run(stage, model, chats)
    shapes = {name: tuple(tensor.shape) for name, tensor in scan.values().items()}
    assert shapes == {"channels": (32,), "neurons": (3, 64), "heads": (3, 4)}
    content = scan.content()
    assert content["samples"] == 9 == stage.metrics["rows"]
    assert scan.spec().shapes == model.spec().shapes
    assert scanner.plan_spec(model.spec(), chats.spec()) == scan.spec()
    for curve in content["curves"].values():
        assert curve[0] == [0, 0] and curve[-1] == pytest.approx([1, 1])
        assert curve == sorted(curve)
    again = scanner.run(make_stage(tmp_path, "again"), model, chats)
    for name in ("importance.safetensors", "importance.json"):
        assert (scan.directory / name).read_bytes() == (again.directory / name).read_bytes()


def test_documents_calibrate_as_well(documents, tmp_path):
    model = family_checkpoint(tmp_path / "model", "llama")
    scan = ImportanceScanner(seed=0, max_length=32).run(make_stage(tmp_path), model, documents)
    assert scan.content()["samples"] == 8
    assert json.loads((scan.directory / "importance.json").read_text())["tokens"] <= 8 * 32


def test_concentration_is_the_share_that_the_strongest_hold():
    curve = concentration(torch.tensor([1.0, 0.0, 3.0, 0.0]).double())
    assert curve == [[0, 0], [0.25, 0.75], [0.5, 1], [0.75, 1], [1, 1]]


@pytest.mark.parametrize(
    ("model", "data", "settings", "message"),
    [
        ({}, {"splits": {"train": [1, 9]}}, {"split": "valid"}, r"no such rows \(splits: train\)"),
        ({}, {"columns": ["id", "prompt"]}, {}, "these have id, prompt"),
        (
            {"has_chat_template": False},
            {"columns": ["messages"]},
            {},
            "no chat template",
        ),
        ({"config": {"model_type": "mamba"}}, {}, {}, "family 'mamba'"),
        ({"config": "llama"}, {}, {"max_length": 300}, "the model has 256 positions"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_plan_time(model, data, settings, message, tmp_path):
    if model.get("config") == "llama":
        model = {"config": family_checkpoint(tmp_path, "llama").config()}
    scanner = ImportanceScanner(seed=0, **settings)
    with pytest.raises((InputError, SettingError), match=message):
        scanner.plan_spec(CheckpointSpec(**model), DatasetSpec(**data))
    assert ImportanceScanner(seed=0).plan_spec(CheckpointSpec(), DatasetSpec())
