"""Pretraining on whole documents, from random weights or from a checkpoint."""

from __future__ import annotations

from storm_exp import StageContext, component
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_training.components.finetuner import Finetuner
from storm_training.data.token_set import CHATS, DOCUMENTS, TokenSet, TokenSetSpec
from storm_training.trainable.layer_table import LayerTable, LayerTableSpec


@component("finetuner", "pretraining", version=1)
class Pretraining(Finetuner):
    """Predicts every token of documents, cut into pieces of at most `sequence_length` tokens.

    Continued pretraining starts from a checkpoint, pretraining from the preset of a new model.
    """

    def plan_spec(
        self,
        model: CheckpointSpec,
        tokens: TokenSetSpec,
        layers: LayerTableSpec | None = None,
    ) -> CheckpointSpec:
        """Forecast a checkpoint like `model`."""
        return self.training_spec(model, tokens, layers, (DOCUMENTS, CHATS))

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

        objective = NextToken("pretraining")
        return finetune(
            stage,
            self,
            model,
            tokens,
            objective,
            trainable=self.trainable,
            layers=layers,
            cut=True,
        )
