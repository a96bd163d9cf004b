"""The judge `zero_shot`: prompts without examples of judgements."""

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
"""The most rows of a rehearsal's shard."""
_EXAMPLE = 512
"""The most tokens of an example in a rehearsal, where two bytes of the rubric count as one."""
_CHARACTERS = 4
"""Approximate characters of English per token."""


@component("judge", "zero_shot", version=2)
class ZeroShot(JudgeSettings):
    """Scores each row's educational value and difficulty, with one token of the model each.

    The prompt is one user turn: `head`, the example, the question's text. The scores are the
    probabilities of the next token. Only the split `train` is judged; `validation` stays for
    held-out evaluation. Columns other than `messages` and `tools` (such as true labels) never enter
    a prompt.
    """

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> ScoresSpec:
        """Return the labels and the number of rows; raises SettingError or InputError."""
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
        """Raise SettingError where the rubric fills the prompt, without the template's tokens."""
        fitted, reason = self.fitted(model.config or {})
        for question in self.questions().values():
            tokens = count_tokens(model.tokenizer, self.head + question.text)
            fitted.check_room(tokens or 0, reason)

    def rehearsal(self) -> ZeroShot:
        """Return a copy with small shards, and room for the rubric and a short example."""
        texts = [self.head, self.example, *(q.text for q in self.questions().values())]
        room = sum(len(text.encode()) for text in texts) // 2 + _EXAMPLE
        return dataclasses.replace(
            self,
            inference=self.rehearsed_engine(),
            max_length=min(self.max_length, room),
            batch_size=min(self.batch_size, 4),
            shard_rows=min(self.shard_rows, _SHARD),
            dtype=self.dtype if has_gpu() else LoadedDtype.float32,
        )

    def cost(self, model: CheckpointSpec, data: DatasetSpec) -> Cost | None:
        """Estimate one pass over the rows: the rubric is computed once, the questions per row."""
        fitted, reason = self.fitted(model.config or {})
        most = fitted.max_length
        tails = sum(len(q.text) for q in self.questions().values()) / _CHARACTERS
        length = float(most)
        if data.row_tokens is not None:
            length = min(length, data.row_tokens + tails)
        context = min(length + len(self.head) / _CHARACTERS, most)
        rows, questions = data.likely_rows(), len(self.questions())
        reading = None if rows is None else Reading(rows * length, context, rows * questions)
        batch = Reading(self.batch_size * most, context, self.batch_size * questions)
        return inference_cost(
            model,
            reading,
            batch,
            dtype=self.dtype,
            further=2.0 * self.batch_size * most**2,
            assumes=f"rows of {length:.0f} tokens"
            + (f", prompts of up to {most}, since {reason}" if reason else ""),
        )

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> Scores:
        """Judge every row of the split `train`, shard by shard."""
        from storm_curation.judge.judging import judge

        return judge(self, stage, model, data)
