"""Distillation of a teacher into a student."""

from __future__ import annotations

from storm_exp import Artifact, InputError, SettingError, StageContext, component, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.model_config import ModelConfig
from storm_models.families.support import Use, check_family
from storm_training.components.finetuner import Finetuner
from storm_training.data.token_set import CHATS, DOCUMENTS, TokenSet, TokenSetSpec
from storm_training.data.top_k_logits import TopKLogits, TopKLogitsSpec
from storm_training.objectives.teacher_control import TeacherControl
from storm_training.trainable.layer_table import LayerTable, LayerTableSpec


@component("finetuner", "distillation", version=1)
class Distillation(Finetuner):
    """Forward KL from a teacher's logits over the whole vocabulary, as Minitron retrains.

    The teacher is in the loop (port `teacher`), or its top k tokens were stored before (port
    `answers`). The Minitron paper uses temperature 1 and no cross-entropy, and found a loss on
    hidden states useful only after much depth pruning.
    """

    learning_rate: float = 1e-4
    """The highest learning rate, reached after warm-up."""
    temperature: float = setting(1.0, above=0)
    """Softens both distributions; the divergence is multiplied by its square (Hinton et al.)."""
    kl_weight: float = setting(1.0, above=0)
    """Weight of the divergence."""
    ce_weight: float = setting(0.0, at_least=0)
    """Weight of the cross-entropy of the tokens in the data."""
    hidden_weight: float = setting(0.0, neutral=0.0, at_least=0)
    """Weight of 1 - cosine between hidden states of student and teacher; their hidden sizes must be
    equal."""
    hidden_layers: int | None = setting(None, neutral=None, at_least=1)
    """How many of the student's layers are compared to the teacher's, evenly spaced; null: all."""
    control: TeacherControl = setting(TeacherControl.none, neutral=TeacherControl.none)
    """What to shuffle in the teacher's logits, anew in every training pass, to show that a gain
    comes from the teacher: none, positions or vocabulary. Validation uses the unshuffled teacher.
    (A teacher of random weights is another control: `new_model` in the teacher's place.)"""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        used = self.hidden_layers is None or self.hidden_weight > 0
        self._require("hidden_layers", used, "is used only with hidden_weight above 0")

    def plan_spec(
        self,
        model: CheckpointSpec,
        tokens: TokenSetSpec,
        teacher: CheckpointSpec | None = None,
        answers: TopKLogitsSpec | None = None,
        layers: LayerTableSpec | None = None,
    ) -> CheckpointSpec:
        """Return the spec of `model`; raises InputError for a teacher that does not fit it."""
        if (teacher is None) == (answers is None):
            raise InputError(
                "needs one of the ports 'teacher' (in the loop) and 'answers' (stored top k), not "
                + ("both" if teacher else "neither")
            )
        source = teacher or answers
        assert source is not None
        if model.tokenizer and source.tokenizer and model.tokenizer != source.tokenizer:
            raise InputError(
                "teacher and student have different tokenizers: their logits are not comparable"
            )
        if teacher is not None:
            check_family(teacher.config, Use.PACK)
        if answers is not None:
            unused = {"temperature": 1.0, "hidden_weight": 0.0, "control": TeacherControl.none}
            for name, value in unused.items():
                holds = getattr(self, name) == value
                self._require(name, holds, "needs the teacher in the loop, not its stored answers")
        size = (model.config or {}).get("vocab_size")
        if answers is not None and answers.k and size and answers.k >= size:
            raise InputError(
                f"the teacher's answers hold k={answers.k} tokens a position, but the student's "
                f"vocabulary has only {size}"
            )
        if teacher is not None and self.hidden_weight:
            self._check_hidden(model.config or {}, teacher.config or {})
        return self.training_spec(model, tokens, layers, (CHATS, DOCUMENTS))

    def run(
        self,
        stage: StageContext,
        model: Checkpoint,
        tokens: TokenSet,
        teacher: Checkpoint | None = None,
        answers: TopKLogits | None = None,
        layers: LayerTable | None = None,
    ) -> Checkpoint:
        """Train, and return the checkpoint; each weight keeps the dtype that it has in `model`."""
        from storm_training.loop.finetuning import finetune
        from storm_training.objectives.distillation import (
            DistillationObjective,
            TopKDistillationObjective,
        )
        from storm_training.references.scoring import packed_attention

        inputs: dict[str, Artifact | None] = {
            "model": model,
            "tokens": tokens,
            "teacher": teacher,
            "answers": answers,
            "layers": layers,
        }
        if answers is not None:
            train, held_out = (answers.open(name, tokens) for name in ("train", "validation"))
            assert train is not None
            top_k = TopKDistillationObjective(
                train, held_out, kl_weight=self.kl_weight, ce_weight=self.ce_weight
            )
            return finetune(
                stage,
                self,
                model,
                tokens,
                top_k,
                trainable=self.trainable,
                layers=layers,
                inputs=inputs,
            )
        assert teacher is not None
        pairs: dict[int, int] = {}
        if self.hidden_weight:
            depth, teacher_depth = (int(m.config()["num_hidden_layers"]) for m in (model, teacher))
            pairs = layer_pairs(depth, teacher_depth, self.hidden_layers or depth)
        network = teacher.load(dtype="auto" if self.precision != "float32" else "float32")
        objective = DistillationObjective(
            network,
            temperature=self.temperature,
            kl_weight=self.kl_weight,
            ce_weight=self.ce_weight,
            hidden_weight=self.hidden_weight,
            layers=pairs,
            control=self.control,
        )
        with packed_attention(stage, network, self.precision):
            return finetune(
                stage,
                self,
                model,
                tokens,
                objective,
                trainable=self.trainable,
                layers=layers,
                cut=True,
                inputs=inputs,
            )

    def _check_hidden(self, student: ModelConfig, teacher: ModelConfig) -> None:
        sizes = student.get("hidden_size"), teacher.get("hidden_size")
        if None not in sizes and sizes[0] != sizes[1]:
            problem = f"the student's hidden size is {sizes[0]}, the teacher's {sizes[1]}"
            raise SettingError("hidden_weight", self.hidden_weight, problem)
        depth = student.get("num_hidden_layers")
        if depth and self.hidden_layers and self.hidden_layers > depth:
            problem = f"the student has {depth} layers"
            raise SettingError("hidden_layers", self.hidden_layers, problem)


def layer_pairs(student: int, teacher: int, count: int) -> dict[int, int]:
    """Return {student's layer: teacher's layer} for `count` layers, evenly spaced over the depth.

    A layer is paired with the one at the same relative depth; the last layers form a pair.
    """
    ends = [round((number + 1) * student / count) for number in range(count)]
    return {end - 1: max(1, round(end * teacher / student)) - 1 for end in ends}
