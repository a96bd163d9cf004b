"""The evaluator `held_out_pairs`: preferences that were not trained on."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

from storm_data.dataset import Dataset, DatasetSpec
from storm_evaluation.evaluation import Evaluation, EvaluationSpec
from storm_evaluation.held_out.rows import LOSS, HeldOutRows
from storm_evaluation.reported_metrics import report_metrics
from storm_evaluation.sample import Sample
from storm_exp import Cost, InputError, StageContext, component
from storm_models.chat.conversation import Conversation
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec

if TYPE_CHECKING:
    from storm_evaluation.held_out.continuation import Continuation
    from storm_models.chat.renderer import ChatRenderer

PREFERENCE = "held_out_preference"
_SIDES = ("chosen", "rejected")
_AT_ONCE = 512


@component("evaluator", "held_out_pairs", version=2)
class HeldOutPairs(HeldOutRows):
    """Scores how often a model prefers the chosen answer, and the loss on chosen answers.

    A model prefers the answer with the higher mean log-probability of its tokens, so that length
    does not decide; without a reference model, any two models can be compared.
    """

    distributed = True

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> EvaluationSpec:
        """Check chat template, split and columns; raises SettingError or InputError."""
        self.check(model, data, "prompt", *_SIDES)
        if model.has_chat_template is False:
            raise InputError(
                "the model has no chat template: set chat.template=chatml for every model of the "
                "recipe, or base_model.chat.template=… for the one it comes from"
            )
        return EvaluationSpec(tasks=[PREFERENCE, LOSS])

    def cost(self, model: CheckpointSpec, data: DatasetSpec) -> Cost | None:
        """Estimate one reading of every pair."""
        return self.estimate(model, data)

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> Evaluation:
        """Score the split's rows."""
        from storm_evaluation.harness.harness import Harness
        from storm_evaluation.held_out.tasks import score_answers

        with stage.compute():
            harness = Harness(stage, model, self.max_length, self.dtype, self.batch_size)
            pairs = self._pairs(stage, model.chat(), data)
            runs = [run for pair in pairs for side in pair for run in side]
            scored, cut = score_answers(harness, runs, LOSS)
            if cut:
                stage.warn(f"{cut} answers were longer than the model's context and truncated")
        samples = iter(scored)
        sides = [[list(itertools.islice(samples, len(s))) for s in pair] for pair in pairs]
        preferred = [_preference(*pair) for pair in sides]
        losses = [sample for chosen, _ in sides for sample in chosen]
        evaluation = Evaluation(stage.directory)
        if stage.rank > 0:
            return evaluation
        metrics = {PREFERENCE: ("acc_norm", True), LOSS: ("nats per token", False)}
        settings = {**self.described(), "answers_cut": cut}
        settings |= harness.describe(True)
        evaluation.write(metrics, [*preferred, *losses], settings, harness.version)
        report_metrics(stage, evaluation)
        stage.metric("documents", len(pairs))
        stage.metric("tokens", sum(sample.weight for sample in scored))
        return evaluation

    def _pairs(
        self, stage: StageContext, renderer: ChatRenderer, data: Dataset
    ) -> list[tuple[list[Continuation], list[Continuation]]]:
        """Return both answers of the usable rows, as supervised runs after their prompt."""
        pairs: list[tuple[list[Continuation], list[Continuation]]] = []
        left_out: Counter[str] = Counter()
        rows = self.rows(data)
        while chunk := list(itertools.islice(rows, _AT_ONCE)):
            for pair in _rendered(renderer, chunk):
                if isinstance(pair, str):
                    left_out[pair] += 1
                elif self.limit is None or len(pairs) < self.limit:
                    pairs.append(pair)
            if self.limit is not None and len(pairs) >= self.limit:
                break
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        if len(pairs) < 2:
            raise InputError(
                f"split '{self.split}' has {len(pairs)} usable pairs; at least 2 are needed "
                f"(left out: {reasons or 'none'})"
            )
        if reasons:
            stage.say(f"rows that cannot be used: {reasons}")
        return pairs


def _rendered(
    renderer: ChatRenderer, rows: list[dict[str, Any]]
) -> list[tuple[list[Continuation], list[Continuation]] | str]:
    """Return both answers of each row, or why a row cannot be used."""
    from storm_evaluation.held_out.continuation import document_digest, stretches
    from storm_models.chat.template import UnusableChat

    chats, firsts = [], []
    for row in rows:
        prompt = Conversation.of(row, "prompt")
        chats += [prompt + Conversation.of(row, side) for side in _SIDES]
        firsts += [len(prompt.messages)] * 2
    sides = [
        str(tokens)
        if isinstance(tokens, UnusableChat)
        else stretches(document_digest(chat), tokens) or "nothing supervised"
        for chat, tokens in zip(chats, renderer.encode(chats, firsts), strict=True)
    ]
    return [
        chosen
        if isinstance(chosen, str)
        else rejected
        if isinstance(rejected, str)
        else (chosen, rejected)
        for chosen, rejected in zip(sides[::2], sides[1::2], strict=True)
    ]


def _preference(chosen: list[Sample], rejected: list[Sample]) -> Sample:
    """Return the score of a pair: 1 where the chosen answer is the likelier, ½ for a tie."""
    one, other = (_mean(side) for side in (chosen, rejected))
    return Sample(
        task=PREFERENCE,
        document=f"{chosen[0].document}/{rejected[0].document}",
        score=0.5 if one == other else float(one < other),
        prompt=chosen[0].prompt,
        prediction=f"chosen {-one:.3f}, rejected {-other:.3f} nats per token",
        target=chosen[0].target,
    )


def _mean(samples: list[Sample]) -> float:
    """Return the mean loss per token."""
    return sum(s.score * s.weight for s in samples) / sum(s.weight for s in samples)
