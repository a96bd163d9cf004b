"""Which numbers draw an answer."""

from __future__ import annotations

import pytest

from storm_exp import InputError
from storm_inference.chat.sampling import MAX_NEW_TOKENS, SamplingOptions


@pytest.mark.parametrize(
    ("config", "said", "temperature"),
    [
        ({}, {}, 0),
        ({"temperature": 0.01}, {}, 0.01),
        ({"temperature": 0.7, "do_sample": False}, {}, 0),
        ({"do_sample": True}, {}, 1),
        ({"do_sample": True, "temperature": 0.6}, {}, 0.6),
        ({"temperature": 0.6}, {"temperature": 0.9}, 0.9),
        ({"do_sample": False}, {"temperature": 0.9}, 0.9),
        ({"do_sample": True, "temperature": 0.6}, {"temperature": 0}, 0),
    ],
)
def test_a_temperature_is_drawn_with_unless_the_model_says_no(config, said, temperature):
    assert SamplingOptions.of(config, said).temperature == temperature


def test_what_is_said_stands_over_the_models_own():
    config = {"top_k": 100, "top_p": 0.95, "max_new_tokens": 7, "eos_token_id": 3}
    sampling = SamplingOptions.of(config, {"top_k": 5, "top_p": None}, seed=4)
    assert sampling == SamplingOptions(top_k=5, top_p=0.95, max_new_tokens=7, seed=4)
    assert SamplingOptions.of({}, {}).max_new_tokens == MAX_NEW_TOKENS


@pytest.mark.parametrize(
    ("config", "said", "shown"),
    [
        ({}, {"temperature": -1}, "--temperature=-1"),
        ({}, {"top_p": 1.5}, "--top-p=1.5"),
        ({}, {"max_new_tokens": 0}, "--max-tokens=0"),
        ({}, {"temperature": float("nan")}, "--temperature=nan"),
        ({"top_k": "many"}, {}, "generation_config.json: top_k='many'"),
        ({"min_p": True}, {}, "generation_config.json: min_p=True"),
    ],
)
def test_a_number_out_of_bounds_is_named(config, said, shown):
    with pytest.raises(InputError, match=shown):
        SamplingOptions.of(config, said)
