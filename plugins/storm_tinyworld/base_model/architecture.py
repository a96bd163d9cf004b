"""The architecture of the miniature's models: Llama, with head sizes that vLLM supports."""

from __future__ import annotations

import dataclasses

from storm_exp import SettingError, check_bounds, setting
from storm_models.families.model_config import ModelConfig
from storm_tinyworld.base_model.tokenizer import vocabulary
from storm_tinyworld.base_model.vocabulary import BOS, END_OF_TURN, PAD

HEAD_DIMS = (32, 64)


@dataclasses.dataclass(kw_only=True)
class Architecture:
    """Sizes of a Llama model."""

    hidden_size: int = setting(128, at_least=1)
    """Channels of the residual stream."""
    layers: int = setting(4, at_least=1)
    """Decoder layers."""
    heads: int = setting(4, at_least=1)
    """Attention heads of a layer."""
    key_value_heads: int = setting(2, at_least=1)
    """Heads of keys and values, each shared by a group of attention heads."""
    intermediate_size: int = setting(256, at_least=1)
    """Neurons of a layer's MLP."""
    positions: int = setting(512, at_least=1)
    """Tokens of the longest text."""
    rope_theta: float = setting(1000.0, above=0)
    """Base of the rotary frequencies: small, as the texts are short."""
    initializer_range: float = setting(0.08, above=0)
    """Standard deviation of the initial weights: about 1/sqrt(hidden_size). With transformers'
    0.02, meant for wide models, this model took three times as long to learn to copy."""

    def __post_init__(self) -> None:
        """Check the sizes; raises SettingError."""
        check_bounds(self, "architecture.")
        if self.hidden_size not in [self.heads * size for size in HEAD_DIMS]:
            problem = f"must be heads ({self.heads}) times 32 or 64"
            raise SettingError("architecture.hidden_size", self.hidden_size, problem)
        if self.heads % self.key_value_heads:
            problem = f"must divide heads ({self.heads})"
            raise SettingError("architecture.key_value_heads", self.key_value_heads, problem)

    def config(self) -> ModelConfig:
        """Return the values of config.json that define the model, for `LlamaConfig`."""
        ids = vocabulary()
        return {
            "model_type": "llama",
            "vocab_size": len(ids),
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_value_heads,
            "head_dim": self.hidden_size // self.heads,
            "max_position_embeddings": self.positions,
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_theta},
            "initializer_range": self.initializer_range,
            "tie_word_embeddings": False,
            "bos_token_id": ids[BOS],
            "eos_token_id": ids[END_OF_TURN],
            "pad_token_id": ids[PAD],
        }
