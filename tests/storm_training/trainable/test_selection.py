from __future__ import annotations

import pytest

from storm_exp import InputError, SettingError
from storm_models.checkpoint.spec import CheckpointSpec
from storm_training.components.sft import Sft
from storm_training.data.token_set import TokenSetSpec
from storm_training.trainable.selection import highest_snr, shuffled, spectrum_selection
from storm_training.trainable.settings import TrainableSettings


def test_the_selection_is_stable_and_rounds_down():
    rows = [
        {"name": f"{kind}{n}", "type": kind, "layer": n, "shape": [1, 1], "snr": snr}
        for kind, ratios in (("q_proj", [1.0, 2.0, 2.0, 2.0, 3.0]), ("v_proj", [1.0]))
        for n, snr in enumerate(ratios)
    ]
    assert highest_snr(rows, 0.5) == {"q_proj4", "q_proj1"}
    assert highest_snr(rows, 0.6) == {"q_proj4", "q_proj1", "q_proj2"}
    assert highest_snr(rows, 1.0) == {row["name"] for row in rows}


def test_a_random_control_takes_as_many_of_each_type_whatever_their_ratios():
    rows = [
        {"name": f"{kind}{n}", "type": kind, "layer": n, "shape": [1, 1], "snr": float(n)}
        for kind in ("q_proj", "v_proj")
        for n in range(8)
    ]
    drawn = [highest_snr(shuffled(rows, seed), 0.5) for seed in range(200)]
    assert {len([n for n in names if n.startswith(kind)]) for names in drawn for kind in "qv"} == {
        4
    }
    often = [sum(row["name"] in names for names in drawn) for row in rows]
    assert min(often) > 70 and max(often) < 130
    assert shuffled(rows, 3) == shuffled(rows, 3)
    assert [row["snr"] for row in rows[:8]] == list(range(8))


def test_names_are_exact_and_an_empty_selection_is_an_error():
    rows = [{"name": "layers.1.q_proj.weight", "type": "q_proj", "layer": 1, "shape": [], "snr": 1}]
    flags = {"embedding": False, "head": False, "norms": False}
    names = ["layers.1.q_proj.weight", "layers.11.q_proj.weight", "model.norm.weight"]
    assert spectrum_selection(names, rows, 1.0, **flags) == {"layers.1.q_proj.weight"}
    with pytest.raises(InputError, match=r"layers\.1\.q_proj"):
        spectrum_selection(names[1:], rows, 1.0, **flags)
    with pytest.raises(InputError, match="selects nothing"):
        spectrum_selection(names, rows, 0.5, **flags)
    with_norms = spectrum_selection(names, rows, 0.0, **{**flags, "norms": True})
    assert with_norms == {"model.norm.weight"}


def test_norms_of_the_first_blocks_train_as_in_the_published_list():
    parts = ("input_layernorm", "post_attention_layernorm")
    norms = [f"model.layers.{layer}.{part}.weight" for layer in range(32) for part in parts]
    chosen = spectrum_selection(
        [*norms, "model.norm.weight"],
        [],
        0.5,
        embedding=False,
        head=False,
        norms=False,
        norm_layers=16,
    )
    assert chosen == set(norms[:32])


def test_an_embedding_that_is_missing_is_an_error():
    with pytest.raises(InputError, match="embed_tokens"):
        spectrum_selection(["a"], [], 0.5, embedding=True, head=True, norms=False)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"method": "named", "names": [r"model\.layers\.9\..*"]}, "whole name of no parameter"),
        ({"method": "named", "names": ["lm_heed.weight"]}, "did you mean 'lm_head.weight'"),
        ({"method": "lora", "modules": ["q_prj"]}, "did you mean 'q_proj'"),
        ({"method": "lora", "modules": ["gate_up_proj"]}, "the model has no such matrix"),
    ],
)
def test_names_that_the_model_lacks_are_refused_when_planned(parameters, problem):
    config = {
        "model_type": "llama",
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    }
    model = CheckpointSpec(config=config)
    with pytest.raises(SettingError, match=problem):
        Sft(trainable=TrainableSettings(**parameters)).plan_spec(model, TokenSetSpec())
    unknown = CheckpointSpec(config={**config, "model_type": "starcoder2"})
    Sft(trainable=TrainableSettings(**parameters)).plan_spec(unknown, TokenSetSpec())


def test_names_that_the_model_has_pass_the_plan():
    config = {
        "model_type": "phi3",
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    }
    model = CheckpointSpec(config=config)
    named = TrainableSettings(method="named", names=[r"model\.layers\.3\..*_proj\.weight"])
    updated = TrainableSettings(method="lora", modules=["qkv_proj", "gate_up_proj", "lm_head"])
    for parameters in (named, updated):
        Sft(trainable=parameters).plan_spec(model, TokenSetSpec())
