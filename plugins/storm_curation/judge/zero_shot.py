"""Judging by asking the model itself, without examples of judgements."""

from __future__ import annotations

import dataclasses

from storm_curation.judge.scores import Scores, ScoresSpec
from storm_curation.judge.settings import JudgeSettings
from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import Cost, InputError, StageContext, component
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import inference_cost
from storm_models.checkpoint.spec import CheckpointSpec, check_template
from storm_models.devices import has_gpu
from storm_models.dtype import LoadedDtype
from storm_models.families.flops import Reading
from storm_models.families.support import Use, check_family
from storm_models.folder.token_count import count_tokens

_SHARD = 32
"""Rows in a shard of a rehearsal."""
_EXAMPLE = 512
"""Tokens of an example in a rehearsal, at most, beside a token for two bytes of the rubric."""
_CHARACTERS = 4
"""Characters of English in a token, about."""


@component("judge", "zero_shot", version=2)
class ZeroShot(JudgeSettings):
    """Asks the model for each row's educational value and difficulty, one token each.

    The prompt is one turn of the user: `head`, the example, the question's text. The answer is
    read off the probabilities of the next token. Only the split `train` is judged: a data set's
    `validation` stays as it is, for held-out measurements. Columns other than `messages` (truth
    of a made world, for example) never enter a prompt.
    """

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> ScoresSpec:
        """Say which labels there will be, and for how many rows."""
        check_template(model, "it is to judge")
        check_family(model.config, Use.ASK)
        self._check_rubric(model)
        rows = None
        if data.splits is not None:
            if "train" not in data.splits:
                raise InputError("the data set has no split 'train' to judge")
            rows = data.splits["train"]
        scales = {name: question.scale() for name, question in self.questions().items()}
        return ScoresSpec(scales=scales, rows=rows)

    def _check_rubric(self, model: CheckpointSpec) -> None:
        """Raise SettingError where the rubric is known to fill the prompt, template aside."""
        fitted, reason = self.fitted(model.config or {})
        for question in self.questions().values():
            tokens = count_tokens(model.tokenizer, self.head + question.text)
            fitted.check_room(tokens or 0, reason)

    def rehearsal(self) -> ZeroShot:
        """Return the same in several shards, with room for the rubric and a short example."""
        texts = [self.head, self.example, *(q.text for q in self.questions().values())]
        room = sum(len(text.encode()) for text in texts) // 2 + _EXAMPLE
        return dataclasses.replace(
            self,
            max_length=min(self.max_length, room),
            batch_size=min(self.batch_size, 4),
            shard_rows=min(self.shard_rows, _SHARD),
            dtype=self.dtype if has_gpu() else LoadedDtype.float32,
        )

    def cost(self, model: CheckpointSpec, data: DatasetSpec) -> Cost | None:
        """Estimate one pass over the rows: the rubric is read once, the questions' ends per row."""
        fitted, reason = self.fitted(model.config or {})
        most = fitted.max_length
        tails = sum(len(q.text) for q in self.questions().values()) / _CHARACTERS
        length = float(most)
        if data.row_tokens is not None:
            length = min(length, data.row_tokens + tails)
        context = min(length + len(self.head) / _CHARACTERS, most)
        rows, asked = data.likely_rows(), len(self.questions())
        reading = None if rows is None else Reading(rows * length, context, rows * asked)
        batch = Reading(self.batch_size * most, context, self.batch_size * asked)
        return inference_cost(
            model,
            reading,
            batch,
            dtype=self.dtype,
            further=2.0 * self.batch_size * most**2,
            assumes=f"rows of {length:.0f} tokens"
            + (f", prompts of up to {most}, for {reason}" if reason else ""),
        )

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> Scores:
        """Judge every row of the split `train`, shard by shard."""
        from storm_curation.judge.judging import judge

        return judge(self, stage, model, data)
