"""Small real inputs of every type, each made once, by the components that make them in a recipe."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

from storm_curation.judge.rubric import Question
from storm_curation.judge.scores import Scores
from storm_curation.judge.zero_shot import ZeroShot
from storm_data.dataset import Dataset
from storm_data.questions.question_file import QuestionFile
from storm_data.questions.questions import Questions
from storm_data.sources.preference_jsonl import PreferenceJsonl
from storm_data.sources.text_documents import TextDocuments
from storm_evaluation.held_out.held_out import HeldOut
from storm_exp import Artifact
from storm_exp.testing import make_stage
from storm_inference.answers import Answers
from storm_minitron.depth.block_importance_scanner import BlockImportanceScanner
from storm_minitron.width.importance_scanner import ImportanceScanner
from storm_models.chat.settings import ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint
from storm_tinyworld.corpora.pool import TinyworldPool
from storm_training.data.chat_tokens import ChatTokenSet
from storm_training.data.document_tokens import DocumentTokenSet
from storm_training.data.preference_tokens import PreferenceTokenSet
from storm_training.references.reference_scorer import ReferenceScorer
from storm_training.references.top_k_teacher import TopKTeacher
from storm_training.testing import make_chats
from storm_training.trainable.snr_scanner import SnrScanner

USUAL: dict[str, Any] = {
    "seed": 0,
    "chat": ChatSettings(template="own", arguments={}, date="own"),
}
"""What a recipe resolves for components that do not say otherwise."""


def configured(cls: type, **settings: Any) -> Any:
    """Return a component whose seed and chat are those that a recipe would give it."""
    open_settings = {
        field.name: USUAL[field.name] for field in dataclasses.fields(cls) if field.name in USUAL
    }
    return cls(**{**open_settings, **settings})


def judge() -> ZeroShot:
    """Return a judge whose answers are single bytes."""
    return ZeroShot(
        head="Rate.\n",
        example="Q:{instruction}\nA:{response}",
        education=Question(text="\nworth?", answers=["1", "2", "3", "4", "5"]),
        difficulty=Question(
            text="\nhard?", answers=["e", "m", "h"], labels=["easy", "medium", "hard"]
        ),
        max_length=200,
        batch_size=4,
        pad_to_multiple_of=16,
    )


class ToyInputs:
    """Artifacts to give to components."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _made(self, name: str, settings: Any, *inputs: Artifact) -> Any:
        return settings.run(make_stage(self.folder, name), *inputs)

    @functools.cached_property
    def models(self) -> list[Checkpoint]:
        """Three llamas of four layers."""
        return [
            make_checkpoint(self.folder / f"model-{seed}", seed=seed, num_hidden_layers=4)
            for seed in range(3)
        ]

    @property
    def model(self) -> Checkpoint:
        """The first of the models."""
        return self.models[0]

    @functools.cached_property
    def long_model(self) -> Checkpoint:
        """A llama that reads long prompts."""
        return make_checkpoint(self.folder / "long", max_position_embeddings=8192)

    @functools.cached_property
    def chats(self) -> Dataset:
        """Forty chats to train on, and eight held out."""
        return make_chats(self.folder / "chats")

    @functools.cached_property
    def text(self) -> Path:
        """A folder with a few texts."""
        folder = self.folder / "texts"
        folder.mkdir()
        for number in range(12):
            text = f"Text {number}. " + "The quick brown fox jumps. " * (number % 4 + 1)
            (folder / f"{number}.txt").write_text(text, encoding="utf-8")
        return folder

    @functools.cached_property
    def pairs_file(self) -> Path:
        """A file with twelve pairs of answers."""
        rows = [
            {"prompt": f"Is {n} good?", "chosen": "yes" * (n % 3 + 1), "rejected": "no"}
            for n in range(12)
        ]
        file = self.folder / "pairs.jsonl"
        file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        return file

    @functools.cached_property
    def questions_file(self) -> Path:
        """A file with eight questions."""
        file = self.folder / "questions.jsonl"
        rows = [{"question": f"What number follows {n}?", "answer": n + 1} for n in range(8)]
        file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        return file

    @functools.cached_property
    def questions(self) -> Questions:
        """The questions of the file."""
        return self._made("questions", QuestionFile(path=str(self.questions_file)))

    @functools.cached_property
    def documents(self) -> Dataset:
        """The texts as a data set."""
        settings = TextDocuments(path=str(self.text), validation_rows=2)
        return self._made("documents", settings)

    @functools.cached_property
    def pairs(self) -> Dataset:
        """The pairs as a data set."""
        settings = PreferenceJsonl(path=str(self.pairs_file), validation_rows=2)
        return self._made("pairs", settings)

    @functools.cached_property
    def pool(self) -> Dataset:
        """Rows of the miniature world, whose truth is known."""
        return self._made("pool", configured(TinyworldPool, rows=60, validation_rows=10))

    @functools.cached_property
    def chat_tokens(self) -> Artifact:
        return self._made("chat-tokens", ChatTokenSet(), self.model, self.chats)

    @functools.cached_property
    def document_tokens(self) -> Artifact:
        return self._made("document-tokens", DocumentTokenSet(), self.model, self.documents)

    @functools.cached_property
    def preference_tokens(self) -> Artifact:
        return self._made("preference-tokens", PreferenceTokenSet(), self.model, self.pairs)

    @functools.cached_property
    def scores(self) -> Scores:
        return self._made("scores", judge(), self.model, self.chats)

    @functools.cached_property
    def answers(self) -> Dataset:
        settings = configured(Answers, max_new_tokens=4, unfinished=True)
        return self._made("answers", settings, self.model, self.chats)

    @functools.cached_property
    def layers(self) -> Artifact:
        return self._made("layers", SnrScanner(), self.model)

    @functools.cached_property
    def importance(self) -> Artifact:
        settings = configured(ImportanceScanner, samples=8, max_length=96)
        return self._made("importance", settings, self.model, self.chats)

    @functools.cached_property
    def block_importance(self) -> Artifact:
        settings = configured(BlockImportanceScanner, samples=8, max_length=96, counts=[1, 2])
        return self._made("block-importance", settings, self.model, self.chats)

    @functools.cached_property
    def reference(self) -> Artifact:
        settings = ReferenceScorer(precision="float32")
        return self._made("reference", settings, self.model, self.preference_tokens)

    @functools.cached_property
    def top_k(self) -> Artifact:
        settings = TopKTeacher(k=8, precision="float32")
        return self._made("top-k", settings, self.models[1], self.chat_tokens)

    @functools.cached_property
    def evaluations(self) -> list[Artifact]:
        settings = HeldOut(limit=4)
        return [
            self._made(f"evaluation-{number}", settings, model, self.chats)
            for number, model in enumerate(self.models[:2])
        ]
