"""Pretraining on whole documents, from random weights or from a checkpoint."""

from __future__ import annotations

from storm_exp import Stage, component
from storm_models.checkpoint.checkpoint import Checkpoint, CheckpointForecast
from storm_training.components.finetuner import Finetuner
from storm_training.data.token_set import CHATS, DOCUMENTS, TokenSet, TokenSetForecast
from storm_training.trainable.layer_table import LayerTable, LayerTableForecast


@component("finetuner", "pretraining", version=1, requires=("torch", "lightning"), extra="train")
class Pretraining(Finetuner):
    """Predicts every token of documents, cut into pieces of at most `sequence_length` tokens.

    Continued pretraining starts from a checkpoint, pretraining from the preset of a new model.
    """

    def forecast(
        self,
        model: CheckpointForecast,
        tokens: TokenSetForecast,
        layers: LayerTableForecast | None = None,
    ) -> CheckpointForecast:
        """Forecast a checkpoint like `model`."""
        return self.forecast_training(model, tokens, layers, (DOCUMENTS, CHATS))

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
        objective = NextToken("pretraining")
        return finetune(stage, self, model, tokens, objective, layers=layers, cut=True)
