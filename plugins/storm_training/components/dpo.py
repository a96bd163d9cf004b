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

    The reference's log-probabilities are computed by a separate stage (`reference_log_probs`),
    usually with the model that training starts from, so only one model is in memory here.
    """

    learning_rate: float = 5e-7
    """The highest learning rate, reached after warm-up."""
    beta: float = setting(0.1, above=0)
    """Strength of the penalty for leaving the reference."""
    smoothing: float = setting(0.0, neutral=0.0, at_least=0, below=0.5)
    """Assumed probability that the two answers of a pair are swapped (conservative DPO)."""
    sft_weight: float = setting(0.0, neutral=0.0, at_least=0)
    """Weight of the chosen answer's mean cross-entropy per token, added to the loss (RPO)."""

    def plan_spec(
        self,
        model: CheckpointSpec,
        tokens: TokenSetSpec,
        reference: ReferenceLogProbsSpec,
        layers: LayerTableSpec | None = None,
    ) -> CheckpointSpec:
        """Return the spec of `model`; raises InputError for the scores of another tokenizer."""
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
        """Train, and return the checkpoint; each weight keeps the dtype that it has in `model`."""
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
        inputs = {"model": model, "tokens": tokens, "reference": reference, "layers": layers}
        return finetune(
            stage,
            self,
            model,
            tokens,
            objective,
            trainable=self.trainable,
            layers=layers,
            inputs=inputs,
        )
