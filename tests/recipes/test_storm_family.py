"""Storm's recipe on the models that its authors announced as next."""

import math

import pytest

from storm_models.checkpoint.surgery import meta_shapes

PARAMETERS = {
    "storm_8b": 8_030_261_248,
    "storm_qwen2_7b": 7_615_616_512,
    "storm_gemma2_9b": 9_241_705_984,
    "storm_phi3": 3_821_079_552,
}


@pytest.mark.parametrize("recipe", PARAMETERS)
def test_every_model_of_the_recipe_has_the_size_of_its_base(planned, recipe):
    nodes = planned(f"recipe={recipe}")
    spec = nodes["base_model"].spec
    assert spec.parameters == PARAMETERS[recipe]
    assert spec.parameters == sum(map(math.prod, meta_shapes(spec.config).values()))
    for name in ("finetuner", "partner", "merger"):
        assert nodes[name].spec.parameters == PARAMETERS[recipe]


@pytest.mark.parametrize("recipe", [name for name in PARAMETERS if name != "storm_8b"])
def test_a_partner_is_trained_where_nobody_published_one(planned, recipe):
    nodes = planned(f"recipe={recipe}")
    assert nodes["partner"].component.name == "sft"
    assert nodes["partner_tokens"].spec.splits["train"][1] > 2_700_000


@pytest.mark.parametrize("recipe", PARAMETERS)
def test_every_matrix_of_the_blocks_can_be_ranked(planned, recipe):
    spec = planned(f"recipe={recipe}")["base_model"].spec
    matrices = [shape for shape in meta_shapes(spec.config).values() if len(shape) == 2]
    depth = spec.config["num_hidden_layers"]
    ranked = planned(f"recipe={recipe}")["scanner"].spec.summary()
    kinds = 4 if spec.config["model_type"] == "phi3" else 7
    assert ranked == f"{kinds * depth} matrices"
    assert len(matrices) - kinds * depth in (1, 2)


@pytest.mark.parametrize("recipe", PARAMETERS)
def test_the_judges_prompts_fit_into_the_window_of_the_model(planned, recipe):
    nodes = planned(f"recipe={recipe}")
    config, judge = nodes["base_model"].spec.config, nodes["judge"].settings
    assert judge.max_length == 4096
    fitted, reason = judge.fitted(config)
    assert fitted.max_length == (2047 if recipe == "storm_phi3" else 4096)
    assert ("window of 2047 tokens" in reason) == (recipe == "storm_phi3")
