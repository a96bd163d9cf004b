"""Supervised fine-tuning."""

from __future__ import annotations

from storm_exp import StageContext, component
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_training.components.finetuner import Finetuner
from storm_training.data.token_set import CHATS, DOCUMENTS, TokenSet, TokenSetSpec
from storm_training.trainable.layer_table import LayerTable, LayerTableSpec


@component("finetuner", "sft", version=2)
class Sft(Finetuner):
    """Supervised fine-tuning on every turn of the assistant.

    With trainable.method=spectrum it is Spectrum (Hartford et al. 2024), as in the preset
    `spectrum`; with lora or qlora, low-rank updates.
    """

    def plan_spec(
        self,
        model: CheckpointSpec,
        tokens: TokenSetSpec,
        layers: LayerTableSpec | None = None,
    ) -> CheckpointSpec:
        """Forecast a checkpoint like `model`."""
        return self.training_spec(model, tokens, layers, (CHATS, DOCUMENTS))

    def run(
        self,
        stage: StageContext,
        model: Checkpoint,
        tokens: TokenSet,
        layers: LayerTable | None = None,
    ) -> Checkpoint:
        """Train; weights keep the dtype that they have in `model`."""
        from storm_training.loop.finetuning import finetune
        from storm_training.objectives.objective import NextToken

        return finetune(
            stage, self, model, tokens, NextToken("sft"), trainable=self.trainable, layers=layers
        )
