"""The component `reference_log_probs`: the scores of DPO's reference model, computed once."""

from __future__ import annotations

import dataclasses
import json

from storm_exp import Cost, InputError, StageContext, component, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import inference_cost
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.flops import Reading
from storm_models.families.support import Use, check_family
from storm_training.data.reference_log_probs import ReferenceLogProbs, ReferenceLogProbsSpec
from storm_training.data.token_set import PREFERENCES, TokenSet, TokenSetSpec
from storm_training.optim.rehearsal import short_passes
from storm_training.optim.settings import Precision


@component("reference", "reference_log_probs", version=1)
class ReferenceScorer:
    """Log-probabilities of both answers of every pair, so that training holds only one model.

    All DPO runs with the same pairs and reference share them, whatever their beta.
    """

    sequence_length: int = setting(1024, at_least=1, unit="tokens")
    """Tokens in a packed row; rows are as long as the longest pair, if that is longer."""
    batch_size: int = setting(8, at_least=1, unit="rows")
    """Packed rows in one forward pass."""
    precision: Precision = Precision.auto
    """As in training: auto, bfloat16_mixed, bfloat16 or float32. Use the same as in training."""

    def plan_spec(self, model: CheckpointSpec, tokens: TokenSetSpec) -> ReferenceLogProbsSpec:
        """Return the tokenizer; raises InputError for tokens of another kind or tokenizer."""
        if tokens.kind and tokens.kind != PREFERENCES:
            raise InputError(f"scores tokenised preferences, not {tokens.kind}")
        if model.tokenizer and tokens.tokenizer and model.tokenizer != tokens.tokenizer:
            raise InputError("the tokens were made with another tokenizer than the model's")
        check_family(model.config, Use.PACK)
        return ReferenceLogProbsSpec(tokenizer=tokens.tokenizer)

    def rehearsal(self) -> ReferenceScorer:
        """Return the component with short rows."""
        return dataclasses.replace(self, **short_passes(self))

    def cost(self, model: CheckpointSpec, tokens: TokenSetSpec) -> Cost | None:
        """Return the cost of one forward pass over the tokens."""
        count, length = (tokens.tokens or {}).get("train"), self.sequence_length
        positions = self.batch_size * length
        reading = None if count is None else Reading(count, length, count)
        return inference_cost(model, reading, Reading(positions, length, 0))

    def run(self, stage: StageContext, model: Checkpoint, tokens: TokenSet) -> ReferenceLogProbs:
        """Score the pairs of all splits."""
        from storm_training.references.scoring import score_pairs

        content = tokens.content()
        for split in content["splits"]:
            scores = score_pairs(
                stage,
                model,
                tokens.sequences(split),
                length=self.sequence_length,
                rows=self.batch_size,
                precision=self.precision,
            )
            scores.numpy().tofile(stage.directory / f"{split}.scores.bin")
            if split == "train":
                preferred = (scores[:, 0] > scores[:, 1]).double().mean()
                stage.metric("chosen_likelier", float(preferred), main=True)
        text = json.dumps({"tokens": tokens.key, "tokenizer": content["tokenizer"]})
        (stage.directory / "scores.json").write_text(text + "\n", encoding="utf-8")
        return ReferenceLogProbs(stage.directory)
