"""Small models of every family whose shape can be changed, and two configs of known models."""

from storm_models.testing import make_checkpoint

LLAMA_8B = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
"""Llama 3.1 8B's."""
MISTRAL_7B = {**LLAMA_8B, "model_type": "mistral", "vocab_size": 32000}

FAMILIES = {
    "llama": {},
    "mistral": {"sliding_window": 8},
    "qwen2": {
        "tie_word_embeddings": True,
        "use_sliding_window": True,
        "sliding_window": 8,
        "max_window_layers": 2,
    },
    "qwen3": {"tie_word_embeddings": True},
    "gemma2": {"sliding_window": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": {"sliding_window": 8, "sliding_window_pattern": 3, "query_pre_attn_scalar": 8},
    "phi3": {},
}
"""The families that can be pruned, with what makes each peculiar."""

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}
"""What a config of any family may state, of a model of eight layers."""


def family_checkpoint(folder, family, **sizes):
    """A random model whose weights are large enough for its parts to differ."""
    settings = {"num_hidden_layers": 3, "initializer_range": 0.2, "dtype": "float32"}
    return make_checkpoint(folder, family, **{**settings, **FAMILIES[family], **sizes})
