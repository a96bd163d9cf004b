import pytest

from families import LLAMA_8B
from storm_exp import InputError, SettingError
from storm_minitron.width.importance import ImportanceSpec
from storm_minitron.width.minitron_width import MinitronWidth
from storm_minitron.width.widths import Widths, WidthTargets
from storm_models.checkpoint.spec import CheckpointSpec


def test_minitron_4b_is_planned_from_the_config_of_its_parent_alone():
    pruner = MinitronWidth(hidden_size=3072, intermediate_size=9216)
    spec = pruner.plan_spec(CheckpointSpec(config=LLAMA_8B), ImportanceSpec())
    assert spec.parameters == 4_512_746_496
    assert spec.config["head_dim"] == 128


@pytest.mark.parametrize(
    ("targets", "widths"),
    [
        ({"hidden_ratio": 0.75}, Widths(3072, 14336, 32)),
        ({"hidden_ratio": 0.6, "intermediate_ratio": 0.64}, Widths(2464, 9176, 32)),
        ({"heads_ratio": 0.7, "hidden_ratio": 0.995}, Widths(4080, 14336, 24)),
        ({"heads": 16, "hidden_ratio": 0.001}, Widths(16, 14336, 16)),
        ({"hidden_ratio": 1.0, "intermediate_ratio": 0.64}, Widths(4096, 9176, 32)),
        ({"intermediate_ratio": 0.64, "multiple_of": 256}, Widths(4096, 9216, 32)),
    ],
)
def test_ratios_give_sizes_that_hardware_and_heads_divide(targets, widths):
    assert WidthTargets(**targets).resolve(LLAMA_8B) == widths


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({}, "nothing is pruned"),
        ({"hidden_size": 0}, "hidden_size.*at least 1"),
        ({"hidden_size": 5000}, "hidden_size.*more than the model's 4096"),
        ({"intermediate_size": 20000}, "intermediate_size.*more than the model's 14336"),
        ({"heads": 64}, "heads.*more than the model's 32"),
        ({"heads": 20}, "heads.*each of the 8 key-value heads.*multiple of 8"),
        ({"hidden_size": 3000}, "hidden_size.*multiple of the 32 heads.*2976 or 3008"),
        ({"heads": 24}, "hidden_size.*multiple of the 24 heads.*4080$"),
        ({"hidden_size": 3}, "hidden_size.*multiple of the 32 heads.*: 32$"),
        ({"hidden_ratio": 0.999}, "hidden_ratio=0.999.*all of 4096.*of 32: .*hidden_size=4064"),
        (
            {"hidden_ratio": 0.5, "multiple_of": 4096},
            r"hidden_ratio=0.5: keeps all of 4096, .* of 4096: none is smaller .*multiple_of=4096",
        ),
        ({"heads_ratio": 0.9, "hidden_ratio": 0.5}, "heads_ratio=0.9.*all of 32.*heads=24"),
        (
            {"hidden_ratio": 1.0, "intermediate_ratio": 1.0},
            "hidden_ratio=1.0: nothing is pruned: 4096 channels, 14336 neurons and 32 heads",
        ),
        ({"intermediate_ratio": 1.0, "hidden_size": 4096}, "hidden_size=4096: nothing is pruned"),
        ({"hidden_ratio": 1.2}, "hidden_ratio.*at most 1"),
        ({"heads_ratio": 0.0}, "heads_ratio.*above 0"),
        ({"hidden_ratio": 0.5, "hidden_size": 512}, "hidden_size=512 is given already"),
        ({"hidden_ratio": 0.5, "multiple_of": 0}, "multiple_of.*at least 1"),
    ],
)
def test_targets_that_cannot_be_met_are_refused_at_plan_time(targets, message):
    with pytest.raises(SettingError, match=message):
        MinitronWidth(**targets).plan_spec(CheckpointSpec(config=LLAMA_8B), ImportanceSpec())


def test_a_step_that_is_too_coarse_for_the_model_is_refused_at_plan_time():
    qwen2_7b = {**LLAMA_8B, "hidden_size": 3584, "num_attention_heads": 28}
    qwen2_7b |= {"num_key_value_heads": 4}
    with pytest.raises(SettingError, match=r"hidden_ratio=0.75: keeps all of 3584.*size=1792"):
        WidthTargets(hidden_ratio=0.75, multiple_of=256).resolve(qwen2_7b)
    assert WidthTargets(hidden_ratio=0.75).resolve(qwen2_7b).hidden == 2688


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantization_config": {}}, "is quantised"),
        ({"model_type": "mamba"}, "family 'mamba'"),
        ({"model_type": "phi3", "rope_scaling": {"short_factor": [1.0]}}, "rotary factors"),
    ],
)
def test_models_that_cannot_be_cut_are_refused_at_plan_time(change, message):
    with pytest.raises(InputError, match=message):
        MinitronWidth(hidden_size=3072).plan_spec(
            CheckpointSpec(config={**LLAMA_8B, **change}), ImportanceSpec()
        )
    unknown = CheckpointSpec(tokenizer="t")
    assert MinitronWidth(hidden_size=8).plan_spec(unknown, ImportanceSpec()) == unknown
