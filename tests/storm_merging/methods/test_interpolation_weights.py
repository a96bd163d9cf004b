import pytest
from mergekit.config import evaluate_setting

from storm_exp import SettingError
from storm_merging.methods.interpolation_weights import interpolate, resolve
from storm_merging.methods.slerp import Slerp

NAMES = [
    "model.embed_tokens.weight",
    *(
        f"model.layers.{i}.{part}.weight"
        for i in range(5)
        for part in ("self_attn.q_proj", "mlp.up_proj", "input_layernorm")
    ),
    "model.norm.weight",
    "lm_head.weight",
]
COMMON = {"self_attn": [0, 0.5, 0.3, 0.7, 1], "mlp": [1, 0.5, 0.7, 0.3, 0]}


def test_points_are_spread_over_the_layers():
    weights = resolve(0.5, COMMON, NAMES)
    for layer in range(5):
        assert (
            weights[f"model.layers.{layer}.self_attn.q_proj.weight"] == COMMON["self_attn"][layer]
        )
        assert weights[f"model.layers.{layer}.mlp.up_proj.weight"] == COMMON["mlp"][layer]
        assert weights[f"model.layers.{layer}.input_layernorm.weight"] == 0.5
    assert weights["lm_head.weight"] == weights["model.embed_tokens.weight"] == 0.5


@pytest.mark.parametrize("points", [[0.2], [0, 1], [0, 0.5, 0.3, 0.7, 1]])
@pytest.mark.parametrize("position", [0, 0.1, 1 / 3, 0.5, 31 / 32, 1])
def test_interpolation_equals_mergekit(points, position):
    expected = evaluate_setting("x", points, position, validate=float)
    assert interpolate(points, position) == pytest.approx(expected)


def test_what_lies_outside_the_layers_takes_one_number():
    weights = resolve(0.5, {"embed_tokens": [0.1], "lm_head": [0.9]}, NAMES)
    assert weights["model.embed_tokens.weight"] == 0.1
    assert weights["lm_head.weight"] == 0.9
    with pytest.raises(SettingError, match="belongs to no layer"):
        resolve(0.5, {"embed_tokens": [0.1, 0.2]}, NAMES)


def test_a_group_that_matches_nothing_is_refused_with_the_nearest():
    with pytest.raises(SettingError, match="did you mean 'self_attn'"):
        resolve(0.5, {"self_atn": [0, 1]}, NAMES)


def test_a_tensor_in_two_groups_is_refused():
    with pytest.raises(SettingError, match="both match"):
        resolve(0.5, {"mlp": [0.5], "up_proj": [0.5]}, NAMES)


@pytest.mark.parametrize(
    ("t", "schedules"),
    [
        (-0.1, {}),
        (1.1, {}),
        (float("nan"), {}),
        (0.5, {"mlp": [0, 2]}),
        (0.5, {"mlp": []}),
        (0.5, {"mlp": ["x"]}),
    ],
)
def test_weights_outside_zero_to_one_are_refused(t, schedules):
    with pytest.raises(SettingError):
        Slerp(t=t, schedules=schedules)


def test_whole_numbers_are_the_same_schedule_as_fractions():
    whole, fractions = ({"mlp": [0, 1]}, {"mlp": [0.0, 1.0]})
    assert repr(Slerp(schedules=whole)) == repr(Slerp(schedules=fractions))
