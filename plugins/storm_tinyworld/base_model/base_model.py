"""The component `tinyworld`: a base model, pretrained on text of the miniature world."""

from __future__ import annotations

from storm_exp import Cost, FileDigests, SettingError, StageContext, component, setting
from storm_models.chat.chat_file import write_chat_settings
from storm_models.chat.settings import ARGUMENTS, DATE, ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, chat_spec, shapes_digest
from storm_models.estimate.hardware import Hardware
from storm_models.families.architecture import parameter_count, tensor_shapes
from storm_tinyworld.base_model.architecture import Architecture
from storm_tinyworld.base_model.pretraining_text import Mixture
from storm_training.components.cost import training_cost
from storm_training.optim.settings import Precision, TrainingSettings
from storm_training.trainable.settings import TrainableSettings


@component(
    "base_model",
    "tinyworld",
    version=2,
)
class Tinyworld(TrainingSettings):
    """Pretrains a small Llama from scratch on text of the miniature world.

    The text consists of chats and rated examples, so that the model can answer, imperfectly, and
    can judge examples.
    """

    chat: ChatSettings = setting(ChatSettings)
    """How chats are rendered for it after pretraining; its text uses its own template."""
    architecture: Architecture = setting(Architecture)
    """Sizes of the model."""
    mixture: Mixture = setting(Mixture)
    """The composition of the text."""
    steps: int = 1500
    """Optimiser steps."""
    sequence_length: int = 256
    """Tokens in a packed row, and the longest text that is used."""
    batch_size: int = 4
    """Packed rows in one forward pass."""
    learning_rate: float = 2e-3
    """The highest learning rate, reached after warm-up."""
    warmup_ratio: float = 0.05
    """Share of the steps over which the learning rate rises from zero."""
    min_lr_ratio: float = 0.0
    """The final learning rate, as a share of `learning_rate`."""
    weight_decay: float = 0.05
    """Decoupled weight decay (AdamW), on matrices only."""
    beta2: float = 0.99
    """AdamW: decay of the second moment."""
    precision: Precision = Precision.float32
    """fp32 by default: few CPUs multiply bf16 in hardware."""
    seed: int = 0
    """Seed of text, weights and order, independent of the run's seed."""

    scale = "miniature"

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        if self.sequence_length > self.architecture.positions:
            problem = f"the model has {self.architecture.positions} positions"
            raise SettingError("sequence_length", self.sequence_length, problem)

    def plan_spec(self) -> CheckpointSpec:
        """Return the model's spec."""
        config = self.architecture.config()
        shapes = tensor_shapes(config)
        known = CheckpointSpec(
            config=config,
            parameters=parameter_count(config),
            has_chat_template=True,
            chat_arguments=dict(ARGUMENTS),
            chat_date=DATE,
            shapes=None if shapes is None else shapes_digest(shapes),
        )
        return chat_spec(known, self.chat)

    def fingerprint(self, files: FileDigests) -> str:
        """Return the digest of the chat template."""
        return self.chat.fingerprint(files)

    def cost(self, hardware: Hardware, spec: CheckpointSpec) -> Cost | None:
        """Estimate the cost of pretraining."""
        return training_cost(self, TrainableSettings(), spec, None, hardware)

    def run(self, stage: StageContext) -> Checkpoint:
        """Pretrain."""
        from storm_tinyworld.base_model.pretraining import pretrain

        checkpoint = pretrain(stage, self, self.architecture, self.mixture)
        write_chat_settings(checkpoint.directory, self.chat)
        return checkpoint
