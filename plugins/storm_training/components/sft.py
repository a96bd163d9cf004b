"""Supervised fine-tuning."""

from __future__ import annotations

from storm_exp import Stage, component
from storm_models.checkpoint.checkpoint import Checkpoint, CheckpointForecast
from storm_training.components.finetuner import Finetuner
from storm_training.data.token_set import CHATS, DOCUMENTS, TokenSet, TokenSetForecast
from storm_training.trainable.layer_table import LayerTable, LayerTableForecast


@component("finetuner", "sft", version=2, requires=("torch", "lightning"), extra="train")
class Sft(Finetuner):
    """Supervised fine-tuning on every turn of the assistant.

    With parameters.choice=spectrum it is Spectrum (Hartford et al. 2024), as in the preset
    `spectrum`; with lora or qlora, low-rank updates.
    """

    def forecast(
        self,
        model: CheckpointForecast,
        tokens: TokenSetForecast,
        layers: LayerTableForecast | None = None,
    ) -> CheckpointForecast:
        """Forecast a checkpoint like `model`."""
        return self.forecast_training(model, tokens, layers, (CHATS, DOCUMENTS))

    def run(
        self,
        stage: Stage,
        model: Checkpoint,
        tokens: TokenSet,
        layers: LayerTable | None = None,
    ) -> Checkpoint:
        """Train; weights keep the dtype that they have in `model`."""
        from storm_training.loop.finetuning import finetune
        from storm_training.objectives.objective import NextToken

        self.forecast(model.facts(), tokens.facts(), layers.facts() if layers else None)
        return finetune(stage, self, model, tokens, NextToken("sft"), layers=layers)
