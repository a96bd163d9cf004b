"""The evaluator `held_out_text`: the loss on documents that were not trained on."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING

from storm_data.dataset import Dataset, DatasetSpec
from storm_evaluation.evaluation import Evaluation, EvaluationSpec
from storm_evaluation.held_out.rows import LOSS, HeldOutRows
from storm_evaluation.reported_metrics import report_metrics
from storm_exp import Cost, InputError, StageContext, component
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec

if TYPE_CHECKING:
    from storm_evaluation.held_out.continuation import Continuation


@component("evaluator", "held_out_text", version=2)
class HeldOutText(HeldOutRows):
    """Scores the loss on held-out documents, with BOS and EOS as in pretraining.

    Documents beyond `max_length` are read in pieces, each after one token of the piece before it.
    """

    distributed = True

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> EvaluationSpec:
        """Check the split and that its rows are documents; raises SettingError or InputError."""
        self.check(model, data, "text")
        return EvaluationSpec(tasks=[LOSS])

    def cost(self, model: CheckpointSpec, data: DatasetSpec) -> Cost | None:
        """Estimate one reading of the documents."""
        return self.estimate(model, data)

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> Evaluation:
        """Score the split's rows."""
        from storm_evaluation.harness.harness import Harness
        from storm_evaluation.held_out.tasks import score_answers

        with stage.compute():
            harness = Harness(stage, model, self.max_length, self.dtype, self.batch_size)
            window = harness.language_model.max_length
            documents = self._documents(model, data)
            pieces = [piece for name, ids in documents for piece in _pieces(name, ids, window)]
            if not pieces:
                raise InputError(f"split '{self.split}' has no document of two tokens or more")
            loss, _ = score_answers(harness, pieces, LOSS)
        evaluation = Evaluation(stage.directory)
        if stage.rank > 0:
            return evaluation
        settings = {**self.described(), **harness.describe(False)}
        evaluation.write({LOSS: ("nats per token", False)}, loss, settings, harness.version)
        report_metrics(stage, evaluation)
        stage.metric("documents", len(documents))
        stage.metric("tokens", sum(sample.weight for sample in loss))
        return evaluation

    def _documents(self, model: Checkpoint, data: Dataset) -> list[tuple[str, list[int]]]:
        """Return digest and token ids of each row, with what training puts around a document."""
        tokenizer = model.tokenizer()
        before = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
        after = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
        texts = [row["text"] for row in itertools.islice(self.rows(data), self.limit)]
        batch = tokenizer(
            texts, add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        return [
            (hashlib.sha256(text.encode()).hexdigest()[:16], [*before, *ids, *after])
            for text, ids in zip(texts, batch, strict=True)
        ]


def _pieces(document: str, ids: list[int], window: int) -> list[Continuation]:
    """Return a document's tokens in runs of at most `window`; the first token is not predicted."""
    from storm_evaluation.held_out.continuation import Continuation

    return [
        Continuation(document, ids[start - 1 : start], ids[start : start + window])
        for start in range(1, len(ids), window)
    ]
