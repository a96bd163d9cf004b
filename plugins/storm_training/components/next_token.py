"""The ports and the run of fine-tuners that predict the next token."""

from __future__ import annotations

from typing import ClassVar

from storm_exp import StageContext
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_training.components.finetuner import Finetuner
from storm_training.data.token_set import TokenSet, TokenSetSpec
from storm_training.trainable.layer_table import LayerTable, LayerTableSpec


class NextTokenFinetuner(Finetuner):
    """Base of `sft` and `pretraining`: cross-entropy of the supervised tokens."""

    objective: ClassVar[str]
    """The objective's name in training.json."""
    kinds: ClassVar[tuple[str, ...]]
    """Kinds of token sets that the component takes."""
    cut: ClassVar[bool]
    """Whether sequences longer than a row are cut into chunks, instead of being left out."""

    def plan_spec(
        self,
        model: CheckpointSpec,
        tokens: TokenSetSpec,
        layers: LayerTableSpec | None = None,
    ) -> CheckpointSpec:
        """Return the spec of `model`; raises as `training_spec` does."""
        return self.training_spec(model, tokens, layers, self.kinds)

    def run(
        self,
        stage: StageContext,
        model: Checkpoint,
        tokens: TokenSet,
        layers: LayerTable | None = None,
    ) -> Checkpoint:
        """Train, and return the checkpoint; each weight keeps the dtype that it has in `model`."""
        from storm_training.loop.finetuning import finetune
        from storm_training.objectives.objective import NextToken

        return finetune(
            stage,
            self,
            model,
            tokens,
            NextToken(self.objective),
            trainable=self.trainable,
            layers=layers,
            cut=self.cut,
        )
