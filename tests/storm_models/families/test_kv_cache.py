"""The key-value cache is kept past the original context, in every family whose code drops it."""

from pathlib import Path

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.cache_utils import DynamicCache

from storm_models.families.kv_cache import FORGETFUL, keep_kv_cache

CONTEXT = 8
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 32,
    "max_position_embeddings": 64,
    "original_max_position_embeddings": CONTEXT,
    "pad_token_id": 0,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [2.0] * 4,
        "short_mscale": 1.0,
        "long_mscale": 1.0,
        "original_max_position_embeddings": CONTEXT,
    },
}
TOWER = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_blocks": 1}
FURTHER = {
    "phi4_multimodal": {
        "vision_config": {**TOWER, "num_attention_heads": 2, "crop_size": 14, "patch_size": 14},
        "audio_config": {**TOWER, "num_attention_heads": 2, "ext_pw_out_channel": 8},
    },
    "phimoe": {"num_local_experts": 2},
}


def test_the_families_are_those_whose_code_drops_the_cache():
    models = Path(transformers.__file__).parent / "models"
    dropping = {
        file.parent.name
        for file in models.glob("*/modeling_*.py")
        if "past_length <= self.config.original_max_position_embeddings" in file.read_text()
    }
    assert dropping == set(FORGETFUL)


@pytest.mark.parametrize("family", FORGETFUL)
def test_the_cache_is_kept_past_the_original_context(family):
    config = AutoConfig.for_model(family, **{**SIZES, **FURTHER.get(family, {})})
    model = AutoModelForCausalLM.from_config(config)
    ids = torch.ones((1, CONTEXT + 1), dtype=torch.long)
    cache = DynamicCache(config=model.config)
    keys = torch.zeros((1, 2, CONTEXT, 8))
    cache.update(keys, keys, 0)
    arguments = {"past_key_values": cache, "attention_mask": torch.ones_like(ids)}
    arguments |= {"cache_position": torch.tensor([CONTEXT]), "use_cache": True}
    assert model.prepare_inputs_for_generation(ids, **arguments).get("past_key_values") is None
    keep_kv_cache(model)
    kept = model.prepare_inputs_for_generation(ids, **arguments)["past_key_values"]
    assert kept is cache and kept.get_seq_length() == CONTEXT
