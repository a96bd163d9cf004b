"""The component `top_k_answers`: a teacher's most likely tokens, stored once."""

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
from storm_training.optim.settings import PRECISIONS


@component("reference", "top_k_answers", version=1)
class TopKTeacher:
    """Stores a teacher's k most likely tokens at every supervised position.

    The teacher then takes no memory while the student trains. The Minitron paper (Muralidharan et
    al. 2024) found that k of 100 and below hurts the student, against the whole distribution of a
    teacher in the loop. A position takes 8 k + 4 bytes.
    """

    k: int = setting(256, at_least=1)
    """Tokens kept at every position."""
    sequence_length: int = setting(1024, at_least=1, unit="tokens")
    """Tokens in a packed row; a longer example has a row of its own."""
    batch_size: int = setting(4, at_least=1, unit="rows")
    """Packed rows in one forward pass."""
    precision: str = setting("auto", one_of=PRECISIONS)
    """As in training: auto, bf16-mixed or 32."""

    def plan_spec(self, model: CheckpointSpec, tokens: TokenSetSpec) -> TopKLogitsSpec:
        """Raise InputError for tokens that are pairs, or another tokenizer's."""
        if tokens.kind == PREFERENCES:
            raise InputError("a teacher answers chats or documents, not pairs")
        if model.tokenizer and tokens.tokenizer and model.tokenizer != tokens.tokenizer:
            raise InputError("teacher and tokens have different tokenizers")
        check_family(model.config, Use.PACK)
        size = (model.config or {}).get("vocab_size")
        if size and self.k >= size:
            problem = f"the vocabulary has {size}: put the teacher in the loop"
            raise SettingError("k", self.k, problem)
        return TopKLogitsSpec(tokenizer=tokens.tokenizer, k=self.k)

    def rehearsal(self, model: Rehearsed[CheckpointSpec]) -> TopKTeacher:
        """Return the same on short rows, with no more tokens than the twin's vocabulary has."""
        size = (model.twin.config or {}).get("vocab_size")
        k = min(self.k, size - 1) if size else self.k
        return dataclasses.replace(self, k=k, **short_passes(self))

    def cost(self, model: CheckpointSpec, tokens: TokenSetSpec) -> Cost | None:
        """Estimate one pass over the tokens."""
        read, length = (tokens.tokens or {}).get("train"), self.sequence_length
        positions = self.batch_size * length
        reading = None if read is None else Reading(read, length, read)
        return inference_cost(model, reading, Reading(positions, length, 0))

    def run(self, stage: StageContext, model: Checkpoint, tokens: TokenSet) -> TopKLogits:
        """Ask the teacher about the train and validation splits."""
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
        text = {
            "tokens": tokens.key,
            "tokenizer": content["tokenizer"],
            "k": self.k,
            "rows": model.config()["vocab_size"],
        }
        (stage.directory / "answers.json").write_text(json.dumps(text) + "\n", encoding="utf-8")
        return TopKLogits(stage.directory)
