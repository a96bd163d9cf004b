"""The component `tinyworld_sibling`: another fine-tune of the base model, like Llama-Spark."""

from __future__ import annotations

from storm_exp import SettingError, StageContext, component, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_tinyworld.skills.basic import DIFFICULTIES, FAMILIES
from storm_training.components.finetuner import Finetuner
from storm_training.optim.settings import Precision


@component("finetuner", "tinyworld_sibling", version=2)
class TinyworldSibling(Finetuner):
    """Fully fine-tunes the base model on clean chats with other weights of skills.

    It stands for a model that others trained on selected data: no corruption, all difficulties, and
    few tools.
    """

    families: dict[str, float] = setting(
        {"following": 3.0, "lookup": 2.0, "reasoning": 3.0, "tools": 0.2}, at_least=0
    )
    """Weights of the skill families."""
    difficulties: dict[str, float] = setting({"easy": 1.0, "medium": 2.0, "hard": 2.0}, at_least=0)
    """Weights of the difficulties."""
    rows: int = setting(1500, at_least=1)
    """Training rows."""
    steps: int = 300
    """Optimiser steps."""
    sequence_length: int = 256
    """Tokens in a packed row, and the longest example that is used."""
    batch_size: int = 2
    """Packed rows in one forward pass."""
    learning_rate: float = 1e-3
    """The highest learning rate, reached after warm-up."""
    precision: Precision = Precision.float32
    """fp32 by default: few CPUs multiply bf16 in hardware."""
    validation_rows: int = 0
    """It has no validation rows."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        for name, known in (("families", FAMILIES), ("difficulties", DIFFICULTIES)):
            weights = getattr(self, name)
            for key, weight in weights.items():
                if key not in known:
                    problem = f"must be one of {', '.join(known)}"
                    raise SettingError(f"{name}.{key}", weight, problem)
            self._require(name, sum(weights.values()) > 0, "needs a weight above 0")

    def plan_spec(self, model: CheckpointSpec) -> CheckpointSpec:
        """Return the spec of a checkpoint like `model`."""
        return model

    def run(self, stage: StageContext, model: Checkpoint) -> Checkpoint:
        """Generate chats and train on them."""
        from storm_data.dataset import Dataset
        from storm_data.rows.arrow_schema import chat_schema
        from storm_tinyworld.corpora.partner import partner_rows
        from storm_tinyworld.corpora.sources import TRUTH
        from storm_training.data.chat_tokens import ChatTokenSet
        from storm_training.loop.finetuning import finetune
        from storm_training.objectives.objective import NextToken

        folder = stage.scratch / "chats"
        folder.mkdir(exist_ok=True)
        data = Dataset(folder)
        rows = partner_rows(self.seed, self.families, self.difficulties, self.rows)
        data.write("train", rows, chat_schema(**TRUTH))
        place = stage.scratch / "tokens"
        place.mkdir(exist_ok=True)
        inner = StageContext(stage.name, place, stage.scratch, stage.runtime)
        tokens = ChatTokenSet().run(inner, model, data)
        objective, inputs = NextToken("sft"), {"model": model}
        return finetune(
            stage, self, model, tokens, objective, trainable=self.trainable, inputs=inputs
        )
