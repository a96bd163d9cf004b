import json

import pytest

from families import SIZES
from storm_exp import InputError
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.depth import (
    depth_spec,
    new_layers,
    read_new_layers,
    rearranged_config,
    tensor_sources,
    write_record,
)
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.testing import make_checkpoint


@pytest.mark.parametrize("family", ["llama", "mistral", "phi3"])
def test_families_of_one_kind_of_layer_get_no_list(family):
    assert "layer_types" not in rearranged_config({"model_type": family, **SIZES}, [0, 1])


def test_every_list_with_an_entry_per_layer_follows():
    config = {
        "model_type": "qwen2",
        **SIZES,
        "layer_types": [f"kind {layer}" for layer in range(8)],
        "no_rope_layers": [layer % 2 for layer in range(8)],
        "eos_token_id": list(range(8)),
    }
    result = rearranged_config(config, [0, 1, 2, 5, 2, 7])
    assert result["layer_types"] == ["kind 0", "kind 1", "kind 2", "kind 5", "kind 2", "kind 7"]
    assert result["no_rope_layers"] == [0, 1, 0, 1, 0, 1]
    assert result["eos_token_id"] == list(range(8))
    assert result["num_hidden_layers"] == 6
    assert config["num_hidden_layers"] == 8 == len(config["layer_types"])


def test_a_period_of_kinds_is_written_out_because_it_no_longer_holds():
    config = {"model_type": "gemma3_text", **SIZES, "sliding_window_pattern": 3}
    result = rearranged_config(config, [0, 1, 2, 2, 3])
    assert "sliding_window_pattern" not in result
    short = [kind.split("_")[0] for kind in result["layer_types"]]
    assert short == ["sliding", "sliding", "full", "full", "sliding"]


@pytest.mark.parametrize(
    ("window", "sources", "expected"),
    [(8, [0, 1, 2, 3, 2, 3, 4, 5, 6, 7], 10), (8, [0, 1, 7], 3), (4, [0, 1, 2, 3, 4, 4], 4)],
)
def test_the_first_sliding_layer_moves_with_the_layers_before_it(window, sources, expected):
    config = {"model_type": "qwen2", **SIZES, "max_window_layers": window}
    assert rearranged_config(config, sources)["max_window_layers"] == expected


def test_a_first_sliding_layer_of_null_stays_one():
    config = {"model_type": "qwen2", **SIZES, "max_window_layers": None}
    assert rearranged_config(config, [0, 1])["max_window_layers"] is None


def test_a_list_of_the_wrong_length_is_refused():
    config = {"model_type": "qwen2", **SIZES, "layer_types": ["full_attention"] * 7}
    with pytest.raises(InputError, match="layer_types has 7 entries for 8 layers"):
        rearranged_config(config, [0, 1])


def test_tensors_take_the_name_of_their_new_place():
    sources = tensor_sources(
        rearranged_config({"model_type": "llama", **SIZES}, [4, 4]), sources=[4, 4]
    )
    assert sources["model.layers.1.mlp.up_proj.weight"] == "model.layers.4.mlp.up_proj.weight"
    assert sources["lm_head.weight"] == "lm_head.weight"
    assert {name.split(".")[2] for name in sources if "layers" in name} == {"0", "1"}


def test_the_added_layers_are_the_second_copies(tmp_path):
    assert new_layers([0, 1, 2, 1, 2, 3]) == [3, 4]
    assert new_layers([0, 3]) == []
    assert read_new_layers(tmp_path) is None
    write_record(tmp_path, [0, 0, 1])
    assert read_new_layers(tmp_path) == [1]
    assert json.loads((tmp_path / "surgery.json").read_text())["source_layers"] == [0, 0, 1]


def test_the_record_goes_where_the_model_goes(tmp_path):
    made = make_checkpoint(tmp_path / "made")
    write_record(made.directory, [0, 0])
    assert "surgery.json" in made.files()
    (tmp_path / "next").mkdir()
    made.copy_companions(tmp_path / "next")
    assert read_new_layers(Checkpoint(tmp_path / "next").directory) == [1]


def test_what_is_not_known_at_plan_time_is_no_error_and_what_cannot_work_is():
    unknown = CheckpointSpec(tokenizer="t", parameters=5)
    assert depth_spec(unknown, lambda layers: [0]) == CheckpointSpec(tokenizer="t")
    for config, message in [
        ({"model_type": "mamba"}, "family .mamba. cannot be changed in shape: only those of llama"),
        ({"model_type": "llama", **SIZES, "quantization_config": {}}, "is quantised"),
    ]:
        with pytest.raises(InputError, match=message):
            depth_spec(CheckpointSpec(config=config), lambda layers: [0])
