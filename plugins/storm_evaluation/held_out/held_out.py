"""The evaluator `held_out`: rows that were not trained on."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

from storm_data.dataset import Dataset, DatasetSpec
from storm_evaluation.evaluation import Evaluation, EvaluationSpec
from storm_evaluation.held_out.rows import LOSS, HeldOutRows
from storm_evaluation.model_checks import refuse_template
from storm_evaluation.reported_metrics import report_metrics
from storm_exp import Cost, InputError, StageContext, component, setting
from storm_models.chat.control_tokens import CONTROL_TOKEN
from storm_models.chat.conversation import Conversation
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec

if TYPE_CHECKING:
    from storm_evaluation.harness.harness import Harness
    from storm_evaluation.held_out.continuation import Continuation, Questions

CHOICE = "held_out_choice"
_AT_ONCE = 512


@component("evaluator", "held_out", version=4)
class HeldOut(HeldOutRows):
    """Scores the loss on held-out answers, and the choice of the true answer among others."""

    distributed = True

    choices: int = setting(4, at_least=2)
    """Answers to choose from: the true one and others from the split."""
    choice_characters: int = setting(200, at_least=1)
    """Characters to which the answers to choose from are truncated."""
    apply_chat_template: bool = True
    """Whether prompts are rendered as chats; without it they are plain text."""
    max_length: int | None = setting(None, at_least=2, unit="tokens")
    """Most tokens of prompt and answer; long prompts lose their beginning, answers their end."""
    seed: int = 1234
    """Seed of the wrong answers, independent of the run's seed, so that scores are comparable."""

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> EvaluationSpec:
        """Check chat template and split; raises SettingError."""
        self.check(model, data)
        if self.apply_chat_template and model.has_chat_template is False:
            refuse_template("")
        return EvaluationSpec(tasks=[LOSS, CHOICE])

    def cost(self, model: CheckpointSpec, data: DatasetSpec) -> Cost | None:
        """Estimate one pass for the loss, and one for the choices, which share their question."""
        return self.estimate(model, data, readings=2)

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> Evaluation:
        """Score the split's rows."""
        from storm_evaluation.harness.harness import Harness
        from storm_evaluation.held_out.continuation import Questions, build_questions
        from storm_evaluation.held_out.tasks import score_answers, score_choices

        with stage.compute():
            harness = Harness(stage, model, self.max_length, self.dtype, self.batch_size)
            rendering = Questions(
                harness.renderer if self.apply_chat_template else None,
                harness.language_model.tok_encode,
            )
            conversations, continuations, left_out = self._conversations(data, harness, rendering)
            if left_out:
                reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
                stage.say(f"rows that cannot be used: {reasons}")
            questions = build_questions(
                conversations, self.choices, self.choice_characters, self.seed
            )
            loss, cut = score_answers(harness, continuations, LOSS)
            if cut:
                stage.warn(f"{cut} answers were longer than the model's context and truncated")
            choice = score_choices(harness, rendering, questions, CHOICE, self.seed)
        evaluation = Evaluation(stage.directory)
        if stage.rank > 0:
            return evaluation
        settings = {
            **self.described(),
            "choices": self.choices,
            "choice_characters": self.choice_characters,
            "apply_chat_template": self.apply_chat_template,
            "seed": self.seed,
            "answers_cut": cut,
            "rows_left_out": left_out,
            **harness.describe(self.apply_chat_template),
        }
        metrics = {CHOICE: ("acc_norm", True), LOSS: ("nats per token", False)}
        scores = evaluation.write(metrics, [*choice, *loss], settings, harness.version)
        report_metrics(stage, evaluation)
        stage.metric("documents", sum(score.n for score in scores.values()))
        stage.metric("tokens", sum(sample.weight for sample in loss))
        return evaluation

    def _conversations(
        self, data: Dataset, harness: Harness, rendering: Questions
    ) -> tuple[list[Conversation], list[Continuation], dict[str, int]]:
        """Return the usable rows, their continuations, and counts of the others by reason."""
        chats: list[Conversation] = []
        scored: list[Continuation] = []
        left_out: Counter[str] = Counter()
        rows = self.rows(data)
        while chunk := list(itertools.islice(rows, min(self.limit or _AT_ONCE, _AT_ONCE))):
            read = [Conversation.of(row) for row in chunk]
            for chat, result in zip(read, rendering.continuations(read), strict=True):
                if self.limit is not None and len(chats) >= self.limit:
                    break
                token = harness.controls.within([chat.messages, chat.tools])
                if isinstance(result, str) or token:
                    reason = result if isinstance(result, str) else CONTROL_TOKEN.format(token)
                    left_out[reason] += 1
                    continue
                chats.append(chat)
                scored += result
            if self.limit is not None and len(chats) >= self.limit:
                break
        if len(chats) < 2:
            reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
            raise InputError(
                f"split '{self.split}' has {len(chats)} rows with a usable answer; at "
                f"least 2 are needed (left out: {reasons or 'none'})"
            )
        return chats, scored, dict(left_out)
