"""The component `top_k_answers`: a teacher's most likely tokens, computed once."""

from __future__ import annotations

import dataclasses
import json

from storm_exp import Cost, InputError, Rehearsed, SettingError, StageContext, component, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import inference_cost
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.flops import Reading
from storm_models.families.support import Use, check_family
from storm_training.data.token_set import PREFERENCES, TokenSet, TokenSetSpec
from storm_training.data.top_k_logits import TopKLogits, TopKLogitsSpec
from storm_training.optim.rehearsal import short_passes
from storm_training.optim.settings import Precision


@component("reference", "top_k_answers", version=1)
class TopKTeacher:
    """Stores a teacher's k most likely tokens at every supervised position, in 8 k + 4 bytes.

    The teacher then takes no memory while the student trains. The Minitron paper (Muralidharan et
    al. 2024) found that k of 100 or less hurts the student, compared to the whole distribution of
    a teacher in the loop.
    """

    k: int = setting(256, at_least=1)
    """Tokens stored for every position."""
    sequence_length: int = setting(1024, at_least=1, unit="tokens")
    """Tokens in a packed row; rows are as long as the longest example, if that is longer."""
    batch_size: int = setting(4, at_least=1, unit="rows")
    """Packed rows in one forward pass."""
    precision: Precision = Precision.auto
    """As in training: auto, bfloat16_mixed, bfloat16 or float32."""

    def plan_spec(self, model: CheckpointSpec, tokens: TokenSetSpec) -> TopKLogitsSpec:
        """Return k and the tokenizer; raises InputError for tokens of another kind or tokenizer."""
        if tokens.kind == PREFERENCES:
            raise InputError("takes tokenised chats or documents, not preferences")
        if model.tokenizer and tokens.tokenizer and model.tokenizer != tokens.tokenizer:
            raise InputError("the tokens were made with another tokenizer than the teacher's")
        check_family(model.config, Use.PACK)
        size = (model.config or {}).get("vocab_size")
        if size and self.k >= size:
            problem = f"the vocabulary has only {size} tokens: put the teacher in the loop instead"
            raise SettingError("k", self.k, problem)
        return TopKLogitsSpec(tokenizer=tokens.tokenizer, k=self.k)

    def rehearsal(self, model: Rehearsed[CheckpointSpec]) -> TopKTeacher:
        """Return the component with short rows, and with k below the twin's vocabulary."""
        size = (model.twin.config or {}).get("vocab_size")
        k = min(self.k, size - 1) if size else self.k
        return dataclasses.replace(self, k=k, **short_passes(self))

    def cost(self, model: CheckpointSpec, tokens: TokenSetSpec) -> Cost | None:
        """Return the cost of one forward pass over the tokens."""
        count, length = (tokens.tokens or {}).get("train"), self.sequence_length
        positions = self.batch_size * length
        reading = None if count is None else Reading(count, length, count)
        return inference_cost(model, reading, Reading(positions, length, 0))

    def run(self, stage: StageContext, model: Checkpoint, tokens: TokenSet) -> TopKLogits:
        """Store the teacher's most likely tokens for all splits."""
        from storm_training.references.scoring import store_top_k

        content = tokens.content()
        for split in content["splits"]:
            covered = store_top_k(
                stage,
                model,
                tokens.sequences(split),
                split,
                k=self.k,
                length=self.sequence_length,
                rows=self.batch_size,
                precision=self.precision,
            )
            if split == "train":
                stage.metric("covered_probability", covered, main=True)
        record = {
            "tokens": tokens.key,
            "tokenizer": content["tokenizer"],
            "k": self.k,
            "rows": model.config()["vocab_size"],
        }
        (stage.directory / "answers.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
        return TopKLogits(stage.directory)
