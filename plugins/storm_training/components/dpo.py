"""Direct preference optimisation on pairs of answers."""

from __future__ import annotations

from storm_exp import InputError, StageContext, component, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_training.components.finetuner import Finetuner
from storm_training.data.reference_log_probs import ReferenceLogProbs, ReferenceLogProbsSpec
from storm_training.data.token_set import PREFERENCES, TokenSet, TokenSetSpec
from storm_training.trainable.layer_table import LayerTable, LayerTableSpec


@component("finetuner", "dpo", version=1)
class Dpo(Finetuner):
    """Direct preference optimisation (Rafailov et al. 2023).

    The reference is a stage of its own (`reference_log_probs`), usually of the model that training
    starts from, and is no second model in memory here.
    """

    learning_rate: float = 5e-7
    """The highest learning rate, reached after warm-up."""
    beta: float = setting(0.1, above=0)
    """How strongly the model is held to the reference."""
    smoothing: float = setting(0.0, neutral=0.0, at_least=0, below=0.5)
    """Probability that a pair is labelled the wrong way round (conservative DPO)."""
    sft_weight: float = setting(0.0, neutral=0.0, at_least=0)
    """Weight of the chosen answer's cross-entropy per token beside the loss (RPO)."""

    def plan_spec(
        self,
        model: CheckpointSpec,
        tokens: TokenSetSpec,
        reference: ReferenceLogProbsSpec,
        layers: LayerTableSpec | None = None,
    ) -> CheckpointSpec:
        """Forecast a checkpoint like `model`."""
        if reference.tokenizer and tokens.tokenizer and reference.tokenizer != tokens.tokenizer:
            raise InputError("the reference scored tokens of another tokenizer")
        return self.training_spec(model, tokens, layers, (PREFERENCES,))

    def run(
        self,
        stage: StageContext,
        model: Checkpoint,
        tokens: TokenSet,
        reference: ReferenceLogProbs,
        layers: LayerTable | None = None,
    ) -> Checkpoint:
        """Train; weights keep the dtype that they have in `model`."""
        from storm_training.loop.finetuning import finetune
        from storm_training.objectives.preference import Preference

        train, held_out = (reference.read(name, tokens) for name in ("train", "validation"))
        assert train is not None
        objective = Preference(
            train,
            held_out,
            beta=self.beta,
            smoothing=self.smoothing,
            sft_weight=self.sft_weight,
        )
        return finetune(
            stage, self, model, tokens, objective, trainable=self.trainable, layers=layers
        )
